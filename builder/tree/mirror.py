"""A mirror: files of somewhere else written out as a tree of ours, read once and written once.

The tree is new, in a directory that nobody else may enter, so a name in it leads where we made it lead. Owners are
whoever calls. No special file is mirrored, and no hard link.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from builder.tree.pack import Item, changed
from builder.values.entry import Entry, Kind

_BLOCK_BYTES = 1 << 20
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def mirror(items: Iterable[Item], target: Path) -> None:
    """Write the items, every directory before what is in it, below the new directory `target`.

    Modes and times are those of the entries. Raises ContextError where a content is not what its entry says, OSError
    where the tree cannot be written, and whatever an item raises when it is opened.
    """
    target.mkdir(0o700)
    directories: list[Entry] = []
    with _Place(target) as place:
        for item in items:
            entry = item.entry
            parent, name = place.of(entry.path)
            if entry.kind is Kind.DIR:
                os.mkdir(name, 0o700, dir_fd=parent)
                directories.append(entry)
            elif entry.kind is Kind.SYMLINK:
                os.symlink(entry.link, name, dir_fd=parent)
                os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)
            elif entry.kind is Kind.FILE:
                _file(item, name, parent, place.block)
        for entry in reversed(directories):  # its mode may keep us out, and what is put into it changes its time
            parent, name = place.of(entry.path)
            os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)
            os.chmod(name, entry.mode, dir_fd=parent)
    os.chmod(target, 0o755)


class _Place:
    """Where entries go: the last directory is kept open, and memory for contents."""

    def __init__(self, target: Path) -> None:
        self.block = memoryview(bytearray(_BLOCK_BYTES))
        self._root = self._fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._directory = b""

    def of(self, path: bytes) -> tuple[int, bytes]:
        """A descriptor of the directory that the path is in, good until the next question, and its name there."""
        directory, _, name = path.rpartition(b"/")
        if directory != self._directory:
            self._forget()
            for part in filter(None, directory.split(b"/")):
                fd = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)
                self._forget()
                self._fd = fd
            self._directory = directory
        return self._fd, name

    def _forget(self) -> None:
        if self._fd != self._root:
            os.close(self._fd)
            self._fd = self._root

    def __enter__(self) -> _Place:
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()
        os.close(self._root)


def _file(item: Item, name: bytes, parent: int, block: memoryview) -> None:
    entry = item.entry
    fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
    try:
        if entry.size:
            _copy(item, fd, block)
        os.fchmod(fd, entry.mode)
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
    finally:
        os.close(fd)


def _copy(item: Item, target: int, block: memoryview) -> None:
    entry, content = item
    if not callable(content):
        raise ValueError(f"the content of {entry.path!r} is not one that is opened")
    source = content()
    try:
        left, found = entry.size, hashlib.sha256()
        while left:
            count = os.readv(source, (block[:left],))
            if not count:
                raise changed(entry)
            found.update(block[:count])
            _write(target, block[:count])
            left -= count
    finally:
        os.close(source)
    if entry.digest and found.hexdigest() != entry.digest:
        raise changed(entry)


def _write(fd: int, data: memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]
