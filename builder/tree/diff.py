"""What a step changed: an upper directory in overlay form against the stack of trees below it, as items of a layer.

The smallest layer that is right. Left out are copies that overlay made of what was then not changed after all,
whiteouts of what was never there, directories of which only the time changed (a file came and went; all builders leave
these out), and sockets. A directory that did not change is in the layer only where something in it did, and then it
must be: buildah (1.28.2, overlay driver) gives a directory that a layer does not mention mode 0755 and owner 0.
Sources: OCI image-spec, layer.md (whiteouts come before their siblings); overlayfs.rst.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from functools import partial

from builder.declare import dataclass, field
from builder.tree.inode import checked_length, entry_at, is_opaque, is_whiteout, lstat_at
from builder.tree.lowers import Lowers, Seen, is_empty, look
from builder.tree.pack import Item
from builder.values.entry import Entry, Kind

_CHUNK_BYTES = 1 << 18
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def changes(upper: str, lowers: Sequence[str]) -> Iterator[Item]:
    """What `upper` changes over `lowers` (uppermost first): parents before children, else in the order of the bytes.

    A content must be read before the next item is asked for. Raises OSError, and ImageError for a path that no client
    could unpack.
    """
    upper_fd = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with Lowers(lowers) as below:
            yield from _Walk(upper_fd).items(below)
    finally:
        os.close(upper_fd)


@dataclass(slots=True)
class _Frame:
    """A directory on the way to where the walk is. `pending` is its own entry, while nothing in it has changed."""

    prefix: bytes
    dirs: tuple[int, ...]
    names: Iterator[bytes]
    pending: Entry | None


@dataclass(slots=True)
class _Walk:
    """One walk over an upper directory; its stack is a list, because depth is the step's choice."""

    fd: int
    frames: list[_Frame] = field(default_factory=list)
    links: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def items(self, below: Lowers) -> Iterator[Item]:
        seen = look(below.dirs, b"")
        root = entry_at(seen.fd, b"", seen.status) if seen else Entry(b"", Kind.DIR, 0o755)
        ours = entry_at(self.fd, b"", lstat_at(self.fd, b""))
        if not same_directory(ours, root):
            yield Item(ours)
        # The root is never written only as the parent of something: every client has one.
        yield from self._enter(b"", seen.dirs if seen else (), None)
        while self.frames:
            frame = self.frames[-1]
            name = next(frame.names, None)
            if name is None:
                self.frames.pop()
            else:
                yield from self._visit(checked_length(frame.prefix + name), frame.dirs)

    def _enter(self, path: bytes, dirs: tuple[int, ...], pending: Entry | None) -> Iterator[Item]:
        """Begin a directory; its whiteouts are given at once."""
        prefix = path + b"/" if path else b""
        names, gone = self._listed(path, prefix)
        self.frames.append(_Frame(prefix, dirs, iter(names), pending))
        for name in gone:
            if dirs and look(dirs, checked_length(prefix + name)):
                yield from self._with_parents(Item(Entry(prefix + name, Kind.WHITEOUT, 0)))

    def _listed(self, path: bytes, prefix: bytes) -> tuple[list[bytes], list[bytes]]:
        """The names in a directory, sorted: what is there, and what is gone (or a socket, which is as good as gone)."""
        names: list[bytes] = []
        gone: list[bytes] = []
        directory = os.open(path or b".", _READ | os.O_DIRECTORY, dir_fd=self.fd)
        try:
            with os.scandir(directory) as found:
                for each in found:
                    name = os.fsencode(each.name)
                    # Nothing that is one of these three is a whiteout or a socket, so most need no lstat here.
                    if each.is_file(follow_symlinks=False) or each.is_dir(follow_symlinks=False) or each.is_symlink():
                        names.append(name)
                        continue
                    status = lstat_at(self.fd, checked_length(prefix + name))
                    (gone if is_whiteout(status) or stat.S_ISSOCK(status.st_mode) else names).append(name)
        finally:
            os.close(directory)
        return sorted(names), sorted(gone)

    def _visit(self, path: bytes, dirs: tuple[int, ...]) -> Iterator[Item]:
        status = lstat_at(self.fd, path)
        entry = entry_at(self.fd, path, status)
        seen = look(dirs, path) if dirs else None
        if entry.kind is Kind.DIR:
            yield from self._directory(entry, seen)
        elif status.st_nlink > 1:
            # Overlay's copies have one name, so a second one was given by this step: the whole group is new.
            first = self.links.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                entry = entry._replace(kind=Kind.HARDLINK, size=0, link=first)
            yield from self._with_parents(self._item(entry))
        elif seen is None or not unchanged(self.fd, entry, seen):
            yield from self._with_parents(self._item(entry))

    def _directory(self, entry: Entry, seen: Seen | None) -> Iterator[Item]:
        path = entry.path
        dirs = seen.dirs if seen else ()
        if dirs and is_opaque(self.fd, path) and not is_empty(dirs, path):
            yield from self._with_parents(Item(entry))
            yield Item(Entry(path, Kind.OPAQUE, 0))
            yield from self._enter(path, (), None)
        elif seen and dirs and same_directory(entry, entry_at(seen.fd, path, seen.status)):
            yield from self._enter(path, dirs, entry)
        else:
            yield from self._with_parents(Item(entry))
            yield from self._enter(path, dirs, None)

    def _with_parents(self, item: Item) -> Iterator[Item]:
        """An item after those of its parents that have not been given yet."""
        for frame in self.frames:
            if frame.pending is not None:
                yield Item(frame.pending)
                frame.pending = None
        yield item

    def _item(self, entry: Entry) -> Item:
        return Item(entry, partial(os.open, entry.path, _READ, dir_fd=self.fd) if entry.kind is Kind.FILE else None)


def unchanged(fd: int, entry: Entry, seen: Seen) -> bool:
    """Whether what is at the entry's path beneath `fd`, no directory, is in every way what the lower trees have."""
    theirs = seen.status
    if entry.mtime_ns != theirs.st_mtime_ns or entry.mode != stat.S_IMODE(theirs.st_mode):
        return False  # by far the most frequent, and free
    if entry != entry_at(seen.fd, entry.path, theirs):
        return False
    return entry.kind is not Kind.FILE or _same_content(fd, seen.fd, entry.path)


def _same_content(ours: int, theirs: int, path: bytes) -> bool:
    """Whether the regular files at `path` beneath the two descriptors hold the same bytes."""
    with (
        open(os.open(path, _READ, dir_fd=ours), "rb", buffering=0) as one,
        open(os.open(path, _READ, dir_fd=theirs), "rb", buffering=0) as other,
    ):
        while True:
            chunk = one.read(_CHUNK_BYTES)
            if chunk != other.read(_CHUNK_BYTES):
                return False
            if not chunk:
                return True


def same_directory(one: Entry, other: Entry) -> bool:
    """Whether they are directories alike. Their times do not count: they change whenever something in them does."""
    return one._replace(mtime_ns=0) == other._replace(mtime_ns=0)
