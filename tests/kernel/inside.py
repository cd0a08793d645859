"""Runs a piece of a test in a forked child inside fresh namespaces and carries its failure back.

Only its own id is mapped: what every kernel allows an ordinary user, with no helper and no worker. A failed assertion
inside fails the test outside.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

from builder.kernel import constants as c
from builder.kernel.syscalls import mount, unshare


def in_child(body: Callable[[], None]) -> None:
    """Run `body` in a forked child. Raises AssertionError with its traceback when it raises, or dies."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(readable)
            body()
            status = 0
        except BaseException:
            os.write(writable, traceback.format_exc()[-60000:].encode())
        finally:
            os._exit(status)
    os.close(writable)
    with open(readable, "rb") as stream:
        text = stream.read().decode()
    _, status = os.waitpid(pid, 0)
    assert status == 0, text or f"the child ended with {os.waitstatus_to_exitcode(status)}"


def in_namespace(body: Callable[[], None], more_flags: int = 0) -> None:
    """Run `body` as root of a new user and mount namespace with private propagation."""

    def entered() -> None:
        uid, gid = os.geteuid(), os.getegid()
        unshare(c.CLONE_NEWUSER | c.CLONE_NEWNS | more_flags)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        mount(None, "/", None, c.MS_REC | c.MS_PRIVATE)
        body()

    in_child(entered)
