"""Locks between processes and threads: flock(2) on files of the store.

A lock lives in an open file description, so the kernel drops it when its holder dies, however it dies, and two
holders in one process exclude each other as two processes do. Lock files are never removed while the store is in
use: removing one would let two holders lock two different files of the same name.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

_POLL_S = 0.05
GATE_POLL_S = 0.005
"""How often who waits at a gate tries it: whoever holds it alone again and again must let so much time pass."""


def _patience() -> None:
    """What waits by default: nothing but time."""


class Lock:
    """A held lock; release it with `release` or by leaving a `with` block. Releasing twice is harmless."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        """Give the lock up."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


class Gate:
    """A lock that is held together with others, often and only for moments: its file stays open.

    Use it as a context. Threads of one process pass one after the other; it is not for passing twice in one another.
    Entering raises OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._fd = -1

    def __enter__(self) -> None:
        self._guard.acquire()
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            _wait_for(self._fd, fcntl.LOCK_SH)
        except BaseException:
            self._guard.release()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        self._guard.release()

    def close(self) -> None:
        """Let go of the file; the next passage opens it again."""
        with self._guard:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)


def _wait_for(fd: int, how: int) -> None:
    pause_s = 0.0005
    while True:
        try:
            return fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, GATE_POLL_S)


def shared(path: Path, while_waiting: Callable[[], None] = _patience) -> Lock:
    """Hold `path` together with other shared holders, after any exclusive one has gone.

    `while_waiting` is called about twenty times a second; an exception of its ends the wait. Raises OSError.
    """
    return _hold(path, fcntl.LOCK_SH, while_waiting)


def exclusive(path: Path, while_waiting: Callable[[], None] = _patience) -> Lock:
    """Hold `path` alone, after every other holder has gone; otherwise as `shared`."""
    return _hold(path, fcntl.LOCK_EX, while_waiting)


def try_exclusive(path: Path) -> Lock | None:
    """Hold `path` alone, or None where anybody else holds it now. Raises OSError."""
    return _attempt(path, fcntl.LOCK_EX)


def _hold(path: Path, how: int, while_waiting: Callable[[], None]) -> Lock:
    # Polling, because a blocked flock in a thread could not be interrupted by Ctrl-C.
    pause_s = 0.001
    while (lock := _attempt(path, how)) is None:
        while_waiting()
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, _POLL_S)
    return lock


def _attempt(path: Path, how: int) -> Lock | None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError as error:
        os.close(fd)
        error.filename = str(path)
        raise
    return Lock(fd)
