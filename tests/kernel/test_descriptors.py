"""Descriptors: what is kept stays open, all else is closed."""

from __future__ import annotations

import os

from builder.kernel.descriptors import close_all_but


def test_what_is_kept_stays_open() -> None:
    """Of a child's descriptors those that are named stay, with the first three; all others are closed."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(9)]
            close_all_but(fds[6], fds[2])
            status = 0 if _open_ones() == [fds[2], fds[6]] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _open_ones() -> list[int]:
    found = [int(name) for name in os.listdir("/proc/self/fd")]  # with one for the directory, closed by now
    return [fd for fd in sorted(found) if fd > 2 and os.path.exists(f"/proc/self/fd/{fd}")]
