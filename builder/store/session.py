"""The room where one process keeps what it has not finished, and how it says what it uses.

A session is a directory `tmp/<random>` with a file `lock` that the living process holds; by that lock, and not by a
process number, others see whether the room is still in use. Rooms of the dead go to `trash` at the next open.

To find something is to touch it: its time of modification becomes now. The lock file's own time is when the session
began. What was touched since the oldest living session began is not removed by `prune`, nor what it leads to; so
whatever a process has found stays while its session lives, without a lock for each thing (see docs/decisions/).

Nothing here removes a tree: ext4 is slow for half a minute after a large removal, and trees hold files of
sub-ids, which only the worker can remove.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.errors import StoreError
from builder.store import files, locks
from builder.store.settling import UNSETTLED, Settling, is_unsettled


class Session:
    """This process's room in the store. Safe to use from several threads."""

    def __init__(self, area: Path) -> None:
        self._area = area
        self._guard = threading.Lock()
        self._numbers = itertools.count()
        self._directory: Path | None = None
        self._lock: locks.Lock | None = None
        self._is_closed = False
        self._began_ns = 0
        self._gate = locks.Gate(gate_path(area))
        self._settling = Settling(area)

    def begin(self) -> None:
        """Make the room now, so that all that is found from here on stays. Raises StoreError.

        On a full disk there is none yet: who only looks, or has come to remove things, can do without.
        """
        try:
            self._room()
        except StoreError as error:
            if not (isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.ENOSPC, errno.EDQUOT)):
                raise

    @property
    def directory(self) -> Path | None:
        """The room, if it has been made."""
        return self._directory

    def temporary(self) -> Path:
        """A fresh path for a new file. Raises StoreError."""
        return self._room() / f"f{next(self._numbers)}"

    def scratch(self) -> Path:
        """A new private directory. Raises StoreError."""
        path = self._room() / f"d{next(self._numbers)}"
        with files.plain_errors("cannot make a working directory in the store"):
            make_private(path)
        return path

    @contextmanager
    def finding(self) -> Iterator[None]:
        """While it lasts nothing is pruned: for finding several things that belong together. Not to be nested, nor to
        be held for long. Raises StoreError for the locks."""
        self.begin()
        with self._gate:
            yield

    def use(self, path: Path) -> os.stat_result | None:
        """The status of what is at `path`, which stays there while this session lives; None where nothing is.

        Raises StoreError.
        """
        try:
            facts = os.stat(path)
            if facts.st_mode & UNSETTLED:
                self.expect(path, facts)
            if self._is_closed or 0 < self._began_ns <= facts.st_mtime_ns:
                return facts  # touched since we began, by us or others: nobody prunes it any more
            with self.finding():
                self.mark(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise files.store_error("cannot use what is in the store", error) from error
        return facts

    def mark(self, path: Path) -> None:
        """The same inside of `finding`. Raises OSError where there is nothing."""
        # Never older than the session, also where the clock has been set back since.
        now_ns = max(time.time_ns(), self._began_ns)
        try:
            os.utime(path, ns=(now_ns, now_ns))
        except PermissionError:
            pass  # another user's file, put there by another tool: those are never pruned

    def publish(self, temporary: Path, final: Path, clock: Path | None = None) -> None:
        """Give what is whole its final name, as used by this session. `clock` is the file of a directory that has its
        time. Raises OSError."""
        with self.finding():
            self.mark(clock or temporary)
            os.rename(temporary, final)

    def publish_unsettled(self, temporary: Path, final: Path, mode: int) -> None:
        """Give a finished file its final name before it is on the disk, where `settle` puts it. Raises OSError.

        Where something has that name, or gets it meanwhile, a name of an image may lead there, and it is replaced only
        by what is on the disk.
        """
        if not os.path.lexists(final):
            with self._settling.naming(self._room().name, temporary, final, mode), self.finding():
                self.mark(temporary)
                if files.give_new_name(temporary, final):
                    return
        os.chmod(temporary, mode)
        files.sync_file(temporary)
        self.publish(temporary, final)
        self._settling.expect(final)  # its name may be as new as what it replaces

    def expect(self, path: Path, facts: os.stat_result) -> None:
        """Settle what was found unsettled, too: what we make may lead there."""
        if is_unsettled(facts):
            self._settling.expect(path)

    def settle(self) -> None:
        """The barrier: whatever we have found or made is on the disk from now on. Raises StoreError."""
        with files.plain_errors("cannot put what was made on the disk"):
            self._settling.settle()

    def lock(self, name: str, while_waiting: Callable[[], None]) -> locks.Lock:
        """Hold the store's lock of this name alone; `while_waiting` may raise to end the wait. Raises StoreError."""
        with files.plain_errors("cannot take a lock of the store"):
            return locks.exclusive(self._area / "locks" / name, while_waiting)

    def owns(self, path: Path) -> bool:
        """Whether `path` is directly in this room."""
        return path.parent == self._directory

    def to_trash(self, path: Path) -> None:
        """Move a file or a directory of ours out of sight; what is not there is gone already. Raises StoreError."""
        with files.plain_errors("cannot move what is no longer needed to the store's trash"):
            move_to_trash(self._area, path)

    def close(self) -> None:
        """Leave: an empty room disappears, anything left in it goes to the trash."""
        self._settling.close()
        with self._guard:
            self._is_closed = True
            self._gate.close()
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
                # Through the gate: what we see from now on has outlived any pruning that did not know of us.
                with files.plain_errors("cannot make a working directory in the store"), self._gate:
                    self._directory, self._lock = _enter(self._area)
                    self._began_ns = os.stat(self._directory / "lock").st_mtime_ns
            return self._directory


def gate_path(area: Path) -> Path:
    """The lock that finding holds shared, and removing alone."""
    return area / "locks" / "objects"


def _enter(area: Path) -> tuple[Path, locks.Lock]:
    # Under the gate, so that a sweeper never sees a room whose lock is not held yet.
    with locks.shared(area / "locks" / "sessions"):
        directory = area / "tmp" / os.urandom(8).hex()
        make_private(directory)
        lock = locks.try_exclusive(directory / "lock")
    if lock is None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(directory))
    return directory, lock


def oldest_start_ns(area: Path, but: Path | None) -> int | None:
    """When the oldest living session began, `but` left out; None where there is none. Raises OSError."""
    starts = []
    # Alone, because looking takes a room's lock for a moment, in which its owner must not want it.
    with locks.exclusive(area / "locks" / "sessions"):
        for name in os.listdir(area / "tmp"):
            room = area / "tmp" / name
            if room != but and not _is_dead(room):
                starts += _mtime_ns(room / "lock")
    return min(starts, default=None)


def _mtime_ns(path: Path) -> list[int]:
    try:
        return [os.stat(path).st_mtime_ns]
    except FileNotFoundError:
        return []  # its session is over by now


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


def move_to_trash(area: Path, path: Path) -> Path:
    """Move `path` into the trash under a new name, which is returned. Raises OSError unless it was not there."""
    target = area / "trash" / os.urandom(8).hex()
    try:
        os.rename(path, target)
    except FileNotFoundError:
        pass
    return target


def _try_move(area: Path, path: Path) -> None:
    try:
        move_to_trash(area, path)
    except OSError:
        pass
