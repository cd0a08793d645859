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
from pathlib import Path

from builder.store import files

UNSETTLED = stat.S_ISVTX
"""The bit of a file that may not be on the disk."""
UNKNOWN_BOOT = "unknown"


class Settling:
    """What one process has found or made that is not known to be on the disk. Safe to use from several threads."""

    def __init__(self, area: Path) -> None:
        self._directory = area / "unsettled"
        self._guard = threading.Lock()
        self._waiting: set[Path] = set()
        self._mark: Path | None = None
        self._has_failed = False

    def begin(self, room: str, temporary: Path, mode: int) -> None:
        """Give a file its mode, and the bit, before it gets its name. Raises OSError."""
        with self._guard:
            if self._mark is None:
                mark = self._directory / f"{room}.{boot_id()}"
                files.write_file(mark, b"")
                files.sync_directory(self._directory)
                self._mark = mark
        os.chmod(temporary, mode | UNSETTLED)

    def expect(self, path: Path) -> None:
        """Settle this file, too, when it is time: ours, or one that was found and that another process has made."""
        with self._guard:
            self._waiting.add(path)

    def settle(self) -> None:
        """The barrier: what was expected is on the disk, with its name. Raises OSError."""
        with self._guard:
            waiting, self._waiting = self._waiting, set()
        try:
            there = [path for path in sorted(waiting) if _sync(path)]
            for directory in {path.parent for path in there}:
                files.sync_directory(directory)
        except OSError:
            self._has_failed = True  # a second sync would find nothing wrong (fsync(2)): only a proof can tell
            raise
        for path in there:
            _mark_settled(path)

    def close(self) -> None:
        """Settle what is left, and take the mark away. Where the disk refuses it, the mark stays for a later boot."""
        try:
            self.settle()
        except OSError:
            return
        if self._mark is not None and not self._has_failed:
            files.remove_file(self._mark)
            self._mark = None


def is_unsettled(facts: os.stat_result) -> bool:
    """Whether a file with this status may not be on the disk."""
    return bool(facts.st_mode & UNSETTLED) and stat.S_ISREG(facts.st_mode)


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
    boot = name.partition(".")[2]
    return boot != boot_id() or boot == UNKNOWN_BOOT


def boot_id() -> str:
    """Which boot of the machine this is."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return UNKNOWN_BOOT  # no /proc: then all boots look alike
