"""Runs the command and counts what it does: `python counted.py RESULT WORDS …` writes JSON to RESULT.

Calls are those of Python functions and, through them, of C functions, in all threads of the process: a measure like
instructions, which is the same on a slow and on a busy machine. Opens and starts are what Python's audit events tell;
paths that are opened beneath a directory by openat2 count as calls alone. Writes are calls that change the disk.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import NoReturn

_WRITES = frozenset(
    ("write", "fsync", "rename", "replace", "mkdir", "rmdir", "unlink", "link", "symlink", "chmod", "truncate")
)
"""Functions of `os` that change what is on a disk; touching (utime) is how the store knows what is used."""
_STARTS = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec", "os.system")


def main() -> None:
    """Count from here on, run, write."""
    result, words = Path(sys.argv[1]), sys.argv[2:]
    before = set(sys.modules)
    opened, starts, calls, writes = itertools.count(), itertools.count(), itertools.count(), itertools.count()

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        del arguments
        if event == "open":
            next(opened)
        elif event in _STARTS:
            next(starts)

    def profile(frame: FrameType, event: str, argument: object) -> None:
        del frame
        if event in ("call", "c_call"):
            next(calls)
        if event == "c_call" and getattr(argument, "__name__", "") in _WRITES and _is_of_os(argument):
            next(writes)

    # What importing takes is not counted among the calls: it differs between versions of Python.
    from builder.cli import main as command

    own, leave = os.getpid(), os._exit

    def write_and_leave(status: int) -> NoReturn:
        sys.setprofile(None)
        if os.getpid() == own:  # and not a process that the command has forked
            found = {
                "calls": next(calls),
                "opens": next(opened),
                "starts": next(starts),
                "writes": next(writes),
                "modules": sorted(set(sys.modules) - before),
                "peak_kib": _peak_kib(),
            }
            result.write_text(json.dumps(found))
        leave(status)

    os._exit = write_and_leave  # the command ends with this, to spare the interpreter's clearing up
    sys.addaudithook(audit)
    threading.setprofile(profile)
    sys.argv = ["pybuild", *words]
    sys.setprofile(profile)
    command()


def _is_of_os(function: object) -> bool:
    return getattr(function, "__module__", "") == os.name


def _peak_kib() -> int:
    """Of this program: ru_maxrss would begin with what the process that started it has."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
