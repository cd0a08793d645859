"""Core dumps: a process that knows secrets leaves no picture of its memory behind."""

from __future__ import annotations

import resource


def forbid_core_dumps() -> None:
    """Let this process and those that it starts be dumped nowhere.

    A soft limit of 1 byte, because 0 does not count where the kernel hands dumps to a program, and 1 does (core(5);
    fs/coredump.c). The hard limit stays: a step may have asked for one of its own by --ulimit.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard if hard == 0 else 1, hard))
