"""The room where one process keeps what it has not finished: temporary files, scratch trees, and the way to the trash.

A session is a directory `tmp/<random>` with a file `lock` that the living process holds; by that lock, and not by a
process number, others see whether the room is still in use. Rooms of the dead go to `trash` at the next open.
Nothing here removes a tree: ext4 is slow for half a minute after a large removal, and trees hold files of
sub-ids, which only the worker can remove.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
from pathlib import Path

from builder.store import files, locks


class Session:
    """This process's room in the store, made when it is first needed. Safe to use from several threads."""

    def __init__(self, area: Path) -> None:
        self._area = area
        self._guard = threading.Lock()
        self._numbers = itertools.count()
        self._directory: Path | None = None
        self._lock: locks.Lock | None = None

    def temporary(self) -> Path:
        """A fresh path for a new file. Raises StoreError."""
        return self._room() / f"f{next(self._numbers)}"

    def scratch(self) -> Path:
        """A new private directory. Raises StoreError."""
        path = self._room() / f"d{next(self._numbers)}"
        with files.plain_errors("cannot make a working directory in the store"):
            make_private(path)
        return path

    def owns(self, path: Path) -> bool:
        """Whether `path` is directly in this room."""
        return path.parent == self._directory

    def to_trash(self, path: Path) -> None:
        """Move a file or a directory of ours out of sight; what is not there is gone already. Raises StoreError."""
        with files.plain_errors("cannot move what is no longer needed to the store's trash"):
            move_to_trash(self._area, path)

    def close(self) -> None:
        """Leave: an empty room disappears, anything left in it goes to the trash."""
        with self._guard:
            directory, lock = self._directory, self._lock
            self._directory = self._lock = None
            if directory is None or lock is None:
                return
            try:
                os.unlink(directory / "lock")
                os.rmdir(directory)
            except OSError:
                _try_move(self._area, directory)
            lock.release()

    def _room(self) -> Path:
        with self._guard:
            if self._directory is None:
                with files.plain_errors("cannot make a working directory in the store"):
                    self._directory, self._lock = _enter(self._area)
            return self._directory


def _enter(area: Path) -> tuple[Path, locks.Lock]:
    # Under the gate, so that a sweeper never sees a room whose lock is not held yet.
    with locks.shared(area / "locks" / "sessions"):
        directory = area / "tmp" / os.urandom(8).hex()
        make_private(directory)
        lock = locks.try_exclusive(directory / "lock")
    if lock is None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(directory))
    return directory, lock


def sweep(area: Path) -> None:
    """Move the rooms of processes that are dead to the trash. Does nothing while another process sweeps."""
    rooms = os.listdir(area / "tmp")
    if not rooms:
        return
    gate = locks.try_exclusive(area / "locks" / "sessions")
    if gate is None:
        return
    with gate:
        for name in rooms:
            if _is_dead(area / "tmp" / name):
                _try_move(area, area / "tmp" / name)


def _is_dead(room: Path) -> bool:
    try:
        fd = os.open(room / "lock", os.O_RDONLY | os.O_CLOEXEC)  # no O_CREAT: looking must leave nothing behind
    except OSError:
        return True
    os.close(fd)
    try:
        lock = locks.try_exclusive(room / "lock")
    except OSError:
        return False
    if lock is not None:
        lock.release()
    return lock is not None


def make_private(directory: Path) -> None:
    """Make a directory that only its owner may enter, whatever the umask is."""
    os.mkdir(directory, 0o700)
    os.chmod(directory, 0o700)


def move_to_trash(area: Path, path: Path) -> None:
    """Move `path` into the trash under a new name. Raises OSError unless it was not there."""
    try:
        os.rename(path, area / "trash" / os.urandom(8).hex())
    except FileNotFoundError:
        pass


def _try_move(area: Path, path: Path) -> None:
    try:
        move_to_trash(area, path)
    except OSError:
        pass
