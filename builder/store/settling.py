"""What has its name and is not on the disk yet: the layers that steps make, and indexes. One barrier settles them all.

Such a file has the sticky bit, which means nothing for files (inode(7)), until it was synced; so nothing has to be
remembered about it elsewhere. Before a process gives the first one its name it leaves a mark, which is synced:
`unsettled/<random>.<boot>`, empty. While the machine runs, all see what was written, whoever is killed. After a crash
of the machine there is a mark of another boot, and who opens the store then proves what has the bit before anything is
found (`recovery`).
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.store import files

UNSETTLED = stat.S_ISVTX
"""The bit of a file that may not be on the disk."""
UNKNOWN_BOOT = "unknown"


class Settling:
    """What one process has found or made that is not known to be on the disk. Safe to use from several threads."""

    def __init__(self, area: Path) -> None:
        self._area = area
        self._directory = area / "unsettled"
        self._guard = threading.Lock()
        self._waiting: set[Path] = set()
        self._naming = 0
        self._mark: Path | None = None
        self._has_failed = False

    @contextmanager
    def naming(self, room: str, temporary: Path, final: Path, mode: int) -> Iterator[None]:
        """While a finished file gets its mode and its name: with the bit, or on the disk where no file can have that
        or where boots cannot be told apart. Raises OSError.
        """
        with self._guard:
            if self._mark is None and (boot := boot_id()) != UNKNOWN_BOOT:
                self._mark = self._left_mark(f"{room}.{boot}")
            self._naming += 1
        try:
            if self._mark is None or not _mark_unsettled(temporary, mode):
                os.chmod(temporary, mode)
                files.sync_file(temporary)
            yield
        finally:
            with self._guard:
                self._naming -= 1
                self._waiting.add(final)

    def _left_mark(self, name: str) -> Path:
        mark = self._directory / name
        files.write_file(mark, b"")
        try:
            files.sync_directory(self._directory)
        except OSError:
            files.remove_file(mark)
            raise
        return mark

    def expect(self, path: Path) -> None:
        """Settle this file, too, when it is time: ours, or one that was found and that another process has made."""
        with self._guard:
            self._waiting.add(path)

    def settle(self) -> None:
        """The barrier: what was expected is on the disk, with its name. Raises OSError.

        A file that the disk refuses is put aside, so that it is made again: after an error a second sync finds nothing
        wrong, by whomever (fsync(2)). What was not tried is expected as before.
        """
        with self._guard:
            waiting, self._waiting = self._waiting, set()
        try:
            there = [path for path in sorted(waiting) if self._synced(path)]
            for directory in {path.parent for path in there}:
                files.sync_directory(directory)
        except BaseException:
            with self._guard:
                self._has_failed = True
                self._waiting |= waiting
            raise
        for path in there:
            _mark_settled(path)

    def _synced(self, path: Path) -> bool:
        try:
            return _sync(path)
        except OSError:
            self._put_aside(path)
            raise

    def _put_aside(self, path: Path) -> None:
        """Put aside what nothing but caches leads to: a name of an image leads to what was synced once."""
        try:
            if not is_unsettled(os.lstat(path)):
                return
            os.rename(path, self._area / "trash" / os.urandom(8).hex())
        except OSError:
            pass  # such a disk is past help; the bit and our mark stay

    def close(self) -> None:
        """Settle what is left, and take the mark away. Where the disk refuses it, or something is being named by a
        thread that was left behind, the mark stays for a later boot."""
        try:
            self.settle()
        except OSError:
            return
        with self._guard:
            if self._mark is not None and not (self._has_failed or self._naming or self._waiting):
                files.remove_file(self._mark)
                self._mark = None


def is_unsettled(facts: os.stat_result) -> bool:
    """Whether a file with this status may not be on the disk."""
    return bool(facts.st_mode & UNSETTLED) and stat.S_ISREG(facts.st_mode)


def _mark_unsettled(path: Path, mode: int) -> bool:
    """Give a file its mode and the bit; whether it has that. Some file systems refuse it, or forget it in silence."""
    try:
        os.chmod(path, mode | UNSETTLED)
    except OSError:
        return False
    return is_unsettled(os.stat(path))


def settle_one(path: Path) -> None:
    """Put a file that proved good on the disk. Raises OSError."""
    if _sync(path):
        _mark_settled(path)


def _sync(path: Path) -> bool:
    """Put the content of a file on the disk; whether it is there."""
    try:
        files.sync_file(path)
    except FileNotFoundError:
        return False  # nobody needs it any more
    return True


def _mark_settled(path: Path) -> None:
    try:
        os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) & ~UNSETTLED)
    except FileNotFoundError:
        pass


def mark_of_crash(name: str) -> bool:
    """Whether a mark is of a process that did not settle all, in a boot that is over."""
    return name.partition(".")[2] != boot_id()


def boot_id() -> str:
    """Which boot of the machine this is."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return UNKNOWN_BOOT  # no /proc: all boots look alike
