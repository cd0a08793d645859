"""The merged view of a stack of layers, from their indexes alone: what an image's file system holds, and where.

Nothing is unpacked and no disk is read. What the layers mean together is the OCI image-spec, layer.md: whiteouts and
opaque markers hide what *lower* layers have, wherever they stand in their own layer; a directory over a directory
changes its attributes and keeps what is inside; anything else replaces what was there, with all that was inside. Where
an entry's parent is a symbolic link, the entry is where the link leads, inside the root (as `merged` unpacks it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from builder.errors import ContextError, ImageError
from builder.tree import bounds
from builder.tree.safe import shown
from builder.values.entry import Entry, Kind

MAX_LINKS = 40
"""Symlinks followed for one path, as many as the kernel follows (path_resolution(7))."""


class Located(NamedTuple):
    """What is at a path, and where its content lies.

    `entry` has the path it was asked by; for a hard link everything else is that of the file it is another name of.
    `layer` is the number of the layer (0 is the bottom) that holds the content. `first_name` is the path under which
    that layer holds it: entries with the same layer and first name are one file.
    """

    entry: Entry
    layer: int
    first_name: bytes

    @property
    def content_of(self) -> Entry:
        """The entry as the layer has it, by whose path and offset its content is found."""
        return self.entry if self.entry.path == self.first_name else self.entry._replace(path=self.first_name)


class View:
    """The file system of a stack of layers. Paths are as in Entry; `b""` is the root, which is always there."""

    def __init__(self, merge: _Merge) -> None:
        self._merge = merge
        self._nodes = merge.nodes
        self._names = merge.names

    @classmethod
    def of(cls, indexes: Sequence[Sequence[Entry]]) -> View:
        """The view of these layers, bottom first."""
        merge = _Merge()
        for entries in indexes:
            merge.apply(entries)
        return cls(merge)

    def under(self, entries: Sequence[Entry]) -> View:
        """The view with one more layer on top: for what it says, and a copy of the table, not for all layers again."""
        merge = self._merge.copy()
        merge.apply(entries)
        return View(merge)

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, path: bytes) -> Located | None:
        """What is at this very path (no symlink is followed), or None."""
        return self._nodes.get(path)

    def children(self, path: bytes) -> list[bytes]:
        """The sorted names in a directory; none for anything else."""
        return sorted(self._all_names().get(path, ()))

    def walk(self, path: bytes) -> Iterator[Located]:
        """What is at `path` and, for a directory, everything below, depth first, names sorted; no link is followed."""
        names = self._all_names()
        waiting = [path] if path in self._nodes else []
        while waiting:
            path = waiting.pop()
            yield self._nodes[path]
            below = names.get(path)
            if below:
                prefix = path + b"/" if path else b""
                waiting += [prefix + name for name in sorted(below, reverse=True)]

    def resolve(self, path: bytes, follow_last: bool = True) -> bytes:
        """The real path of a name, as the image itself would find it: links and `..` never lead out of the root.

        What does not exist is kept as it is written. Raises ContextError for more than 40 links.
        """
        real = _resolved(self._nodes, path, follow_last)
        if real is None:
            raise _too_many(path)
        return real

    def find(self, path: bytes, follow_last: bool = True) -> Located | None:
        """What a name leads to, as `find` below says."""
        return find(self._nodes.get, path, follow_last)

    def _all_names(self) -> dict[bytes, set[bytes]]:
        if self._names is None:
            self._names = _names_of(self._nodes)
        return self._names


def find(get: Callable[[bytes], Located | None], path: bytes, follow_last: bool = True) -> Located | None:
    """What a name leads to for a process inside, links followed; `get` is `View.get`, and its answers have real paths.

    None where some part of the way is missing or is no directory. Raises ContextError for more than 40 links.
    """
    waiting = _parts_reversed(path)
    at = get(b"")
    links = 0
    while waiting:
        if at is None or at.entry.kind is not Kind.DIR:
            return None
        part = waiting.pop()
        here = at.entry.path
        if part == b"..":
            at = get(here.rpartition(b"/")[0])
            continue
        at = get(here + b"/" + part if here else part)
        if at is None or at.entry.kind is not Kind.SYMLINK or not (waiting or follow_last):
            continue
        links += 1
        if links > MAX_LINKS:
            raise _too_many(path)
        waiting += _parts_reversed(at.entry.link)
        at = get(b"" if at.entry.link.startswith(b"/") else here)
    return at


def _too_many(path: bytes) -> ContextError:
    return ContextError(f"too many symbolic links on the way to {shown(path)}", hint="do they form a loop?")


def _resolved(nodes: dict[bytes, Located], path: bytes, follow_last: bool) -> bytes | None:
    """The real path of a name; None for more than 40 links."""
    waiting = _parts_reversed(path)
    real = b""
    links = 0
    while waiting:
        part = waiting.pop()
        if part == b"..":
            real = real.rpartition(b"/")[0]
            continue
        step = real + b"/" + part if real else part
        found = nodes.get(step)
        if found is None or found.entry.kind is not Kind.SYMLINK or not (waiting or follow_last):
            real = step
            continue
        links += 1
        if links > MAX_LINKS:
            return None
        if found.entry.link.startswith(b"/"):
            real = b""
        waiting += _parts_reversed(found.entry.link)
    return real


def _parts_reversed(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")][::-1]


def _names_of(nodes: dict[bytes, Located]) -> dict[bytes, set[bytes]]:
    """The names in each directory. A directory without any has no row."""
    names: dict[bytes, set[bytes]] = {}
    for path in nodes:
        if path:
            parent, _, name = path.rpartition(b"/")
            if parent in names:
                names[parent].add(name)
            else:
                names[parent] = {name}
    return names


class _Merge:
    """The state while layers are laid on each other. `names` is made when the first subtree has to go."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, Located] = {b"": Located(Entry(b"", Kind.DIR, 0o755), 0, b"")}
        self.names: dict[bytes, set[bytes]] | None = None
        self._checked = b""  # the directory that was last seen to be one: entries come grouped by directory
        self._made_bytes = 0
        self._layers = 0

    def copy(self) -> _Merge:
        """The same state for layers of its own; its `names` are made again when they are needed."""
        copy = _Merge()
        copy.nodes = self.nodes.copy()
        copy._made_bytes, copy._layers = self._made_bytes, self._layers
        return copy

    def apply(self, entries: Sequence[Entry]) -> None:
        """Lay one layer on top: first what it hides, then what it has, then its further names for what it has."""
        number = self._layers
        self._layers += 1
        for entry in entries:
            if entry.kind is Kind.WHITEOUT:
                self._remove(self._real(entry.path))
            elif entry.kind is Kind.OPAQUE:
                self._remove_below(self._directory(entry.path))
        self._checked = b""
        hard_links = []
        for entry in entries:
            if entry.kind is Kind.HARDLINK:
                hard_links.append(entry)
            elif entry.kind is Kind.OPAQUE:
                self._make_directories(self._directory(entry.path), number)
            elif entry.kind is Kind.WHITEOUT:
                self._make_directories(self._directory(entry.path.rpartition(b"/")[0]), number)
            else:
                self._add(Located(entry, number, entry.path), number)
        while hard_links and len(left := self._linked(hard_links, number)) < len(hard_links):
            hard_links = left  # those whose target is a hard link that stands later; what names nothing is dropped

    def _linked(self, hard_links: list[Entry], number: int) -> list[Entry]:
        """Give files their further names; returns those whose target is not there (yet)."""
        left = []
        for entry in hard_links:
            link = self._real(entry.link)
            target = self.nodes.get(link)
            if target is None or target.entry.kind is Kind.DIR:
                left.append(entry)
            elif link != self._real(entry.path):
                self._add(target._replace(entry=target.entry._replace(path=entry.path)), number)
        return left

    def _real(self, path: bytes) -> bytes:
        """Where a path is, links on the way to it followed."""
        parent, _, name = path.rpartition(b"/")
        parent = self._directory(parent)
        return parent + b"/" + name if parent else name

    def _directory(self, path: bytes) -> bytes:
        """Where the directory is that a path names, links followed. Raises ImageError for a loop of links."""
        found = self.nodes.get(path)
        if found is not None and found.entry.kind is Kind.DIR:
            return path
        real = _resolved(self.nodes, path, follow_last=True)
        if real is None:
            raise ImageError(f"too many symbolic links on the way to {shown(path)} of a layer", hint="they form a loop")
        return real

    def _add(self, located: Located, number: int) -> None:
        path = located.entry.path
        parent = path.rpartition(b"/")[0]
        if parent != self._checked:
            real = self._directory(parent)
            self._make_directories(real, number)
            if real == parent:
                self._checked = parent
            else:
                path = self._real(path)
                located = located._replace(entry=located.entry._replace(path=path))
        old = self.nodes.get(path)
        if located.entry.kind is not Kind.DIR:
            if not path:
                return  # the root is a directory, whatever a layer says
            if old is not None and old.entry.kind is Kind.DIR:
                self._remove_below(path)
                self._checked = b""
        self.nodes[path] = located
        if old is None and self.names is not None:
            self._name(path)

    def _make_directories(self, path: bytes, number: int) -> None:
        """Make `path` a directory, and all above it; what is in the way goes. Raises ImageError for too many."""
        missing = []
        while (found := self.nodes.get(path)) is None or found.entry.kind is not Kind.DIR:
            missing.append(path)
            self._made_bytes += len(path)
            path = path.rpartition(b"/")[0]
        bounds.check_made(self._made_bytes)
        for path in reversed(missing):
            is_new = path not in self.nodes
            self.nodes[path] = Located(Entry(path, Kind.DIR, 0o755), number, path)
            if is_new and self.names is not None:
                self._name(path)

    def _name(self, path: bytes) -> None:
        parent, _, name = path.rpartition(b"/")
        if self.names is not None and path:
            self.names.setdefault(parent, set()).add(name)

    def _remove(self, path: bytes) -> None:
        found = self.nodes.get(path)
        if found is None:
            return
        if found.entry.kind is Kind.DIR:
            self._remove_below(path)
        if path:
            del self.nodes[path]
            if self.names is not None:
                parent, _, name = path.rpartition(b"/")
                self.names[parent].discard(name)

    def _remove_below(self, path: bytes) -> None:
        if self.names is None:
            self.names = _names_of(self.nodes)
        waiting = [path]
        while waiting:
            directory = waiting.pop()
            prefix = directory + b"/" if directory else b""
            for name in self.names.pop(directory, ()):
                child = prefix + name
                if self.nodes.pop(child).entry.kind is Kind.DIR:
                    waiting.append(child)
