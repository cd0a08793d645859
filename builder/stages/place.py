"""Placing: where files go in an image, as the entries of a new layer.

A placement grows over the merged view of the layers below. Every path that it is given is resolved as the finished
image would resolve it: symlinks of lower layers and of what was placed before are followed, and nothing leads out of
the root. Directories on the way that do not exist are made. Times are in whole seconds, as in the layers of every other
builder. No file is opened here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

from builder.declare import dataclass, field
from builder.errors import BuildfileError
from builder.source import Span
from builder.stages.modes import ChangeMode
from builder.tree.bounds import MADE_BYTES
from builder.tree.pack import Content, Item
from builder.tree.view import View
from builder.values.entry import Entry, Kind

FIXED_MTIME_NS = 315_619_200 * 1_000_000_000
"""1980-01-02: what a file without a time of its own gets, so that the same Buildfile gives the same layer.

Not 1970: ZIP archives made from such files cannot hold a date before 1980.
"""

_SECOND_NS = 1_000_000_000
_MAX_LINKS = 40  # as the kernel's limit, path_resolution(7)
_PATH_MAX = 4096  # path_resolution(7): nobody in the image could ask for a longer one


@dataclass(frozen=True, slots=True)
class Attributes:
    """What COPY's flags say about owner and mode; None keeps the source's."""

    owner: tuple[int, int] | None
    change_mode: ChangeMode | None
    made_mtime_ns: int = FIXED_MTIME_NS

    @property
    def made_mode(self) -> int:
        """The mode of directories that are made on the way: an octal --chmod is theirs too, as in BuildKit."""
        fixed = None if self.change_mode is None else self.change_mode.fixed
        return 0o755 if fixed is None else fixed

    def applied(self, entry: Entry, path: bytes) -> Entry:
        """The entry as it is at `path` of the layer: with these attributes, and its time cut to a whole second."""
        _, kind, mode, uid, gid, size, mtime_ns, link, xattrs, _, digest, rdev = entry
        if self.owner is not None:
            uid, gid = self.owner
        if self.change_mode is not None and kind is not Kind.SYMLINK:
            mode = self.change_mode(mode, kind is Kind.DIR)
        mtime_ns -= mtime_ns % _SECOND_NS
        return Entry(path, kind, mode, uid, gid, size, mtime_ns, link, xattrs, -1, digest, rdev)


@dataclass(frozen=True, slots=True)
class Supply:
    """Contents that are asked for when the layer is packed, by the entries of their source."""

    of: Callable[[Entry], Content]


class Placed(NamedTuple):
    """What is at a path of the new layer: a directory as it will be, anything else as its source has it.

    There may be hundreds of thousands: so the entry is the source's own, and becomes the layer's when it is packed.
    """

    entry: Entry
    content: Content | Supply = None


@dataclass
class Placement:
    """The entries of a layer to be, over `view`. Errors carry `span`."""

    view: View
    attributes: Attributes
    span: Span
    items: dict[bytes, Placed] = field(default_factory=dict)
    same: dict[bytes, Hashable] = field(default_factory=dict)  # path → the file that it is one of several names of
    hidden: set[bytes] = field(default_factory=set)  # what of the layers below the new one replaces as a whole
    _names: dict[bytes, set[bytes]] | None = None  # of `items`, by the directory that they are in; see `remove`
    _made_bytes: int = 0
    _whole: bytes = b""  # a directory that was seen to be there with all above it: entries come grouped by directory

    def look(self, path: bytes) -> Entry | None:
        """What is at this path (links not followed) once the layer lies on the others."""
        item = self.items.get(path)
        if item is not None:
            return item.entry
        if self.hidden and self._is_hidden(path):
            return None
        located = self.view.get(path)
        return located.entry if located is not None else None

    def hide(self, path: bytes) -> None:
        """What the layers below have at this real path is gone: the caller puts something of another kind there."""
        self.hidden.add(path)
        self._whole = b""

    def remove(self, path: bytes) -> None:
        """Take back what was placed at this real path and below it; what the layers below have is not concerned."""
        self._whole = b""
        if self._names is None:  # only archives take something back: other copies go without
            self._names = {}
            for placed in self.items:
                self._note(placed, self._names)
        parent, _, name = path.rpartition(b"/")
        self._names.get(parent, set()).discard(name)
        waiting = [path]
        while waiting:
            at = waiting.pop()
            self.items.pop(at, None)
            self.same.pop(at, None)
            waiting += [at + b"/" + name for name in self._names.pop(at, ())]

    def _put(self, path: bytes, placed: Placed) -> None:
        self.items[path] = placed
        if self._names is not None:
            self._note(path, self._names)

    def _note(self, path: bytes, names: dict[bytes, set[bytes]]) -> None:
        parent, _, name = path.rpartition(b"/")
        names.setdefault(parent, set()).add(name)

    def _is_hidden(self, path: bytes) -> bool:
        parts = path.split(b"/")
        return any(b"/".join(parts[:length]) in self.hidden for length in range(1, len(parts) + 1))

    def resolve(self, path: bytes, follow_last: bool = True) -> bytes:
        """The real path of a name. What does not exist is kept as it is written.

        Raises BuildfileError for a loop of links, and for a path that is longer than the kernel takes.
        """
        if len(path) > _PATH_MAX:
            raise BuildfileError(f"the path {_shown(path[:40])}… has more than {_PATH_MAX} bytes", span=self.span)
        waiting = [part for part in path.split(b"/") if part not in (b"", b".")][::-1]
        real: list[bytes] = []
        links = 0
        while waiting:
            part = waiting.pop()
            if part == b"..":
                del real[-1:]
                continue
            entry = self.look(b"/".join((*real, part)))
            if entry is None or entry.kind is not Kind.SYMLINK or not (waiting or follow_last):
                real.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise BuildfileError(f"too many symlinks on the way to {_shown(path)}", span=self.span)
            if entry.link.startswith(b"/"):
                real.clear()
            waiting += [step for step in entry.link.split(b"/") if step not in (b"", b".")][::-1]
        return b"/".join(real)

    def is_directory(self, path: bytes) -> bool:
        """Whether the real path `path` is a directory now."""
        entry = self.look(path)
        return path == b"" or (entry is not None and entry.kind is Kind.DIR)

    def make_parents(self, path: bytes) -> None:
        """Make the directories above `path` that are missing. Raises BuildfileError where a file is in the way."""
        above = path.rpartition(b"/")[0]
        if above == self._whole:
            return
        parts = above.split(b"/") if above else []
        for length in range(1, len(parts) + 1):
            self.make_directory(b"/".join(parts[:length]))
        self._whole = above

    def make_directory(self, path: bytes) -> None:
        """Make one directory unless it is there; its parent must be."""
        entry = self.look(path)
        if path == b"" or (entry is not None and entry.kind is Kind.DIR):
            return
        if entry is not None:
            raise BuildfileError(
                f"cannot make the directory {_shown(path)}: a {_noun(entry.kind)} is there", span=self.span
            )
        self._made_bytes += len(path)
        if self._made_bytes > MADE_BYTES:
            raise BuildfileError(
                f"the names of the directories to be made are longer than {MADE_BYTES >> 20} MiB together",
                span=self.span,
                hint="an archive in which a few entries lie below thousands of directories is made to fill memories",
            )
        owner = self.attributes.owner or (0, 0)
        made = Entry(path, Kind.DIR, self.attributes.made_mode, *owner, mtime_ns=self.attributes.made_mtime_ns)
        self._put(path, Placed(made))

    def put_directory(self, path: bytes, source: Entry) -> None:
        """A directory of the source at the real path `path`: made, or given the source's mode and owner."""
        old = self.look(path)
        if old is not None and old.kind is not Kind.DIR:
            raise BuildfileError(
                f"cannot copy a directory to {_shown(path)}: a {_noun(old.kind)} is there", span=self.span
            )
        if path == b"":
            return
        new = self.attributes.applied(source, path)
        if old is None or (old.mode, old.uid, old.gid, old.xattrs) != (new.mode, new.uid, new.gid, new.xattrs):
            self._put(path, Placed(new))

    def put_file(self, path: bytes, source: Entry, content: Content | Supply, identity: Hashable = None) -> None:
        """Anything that is not a directory at the real path `path`; files of one `identity` become hard links."""
        old = self.look(path)
        if path == b"" or (old is not None and old.kind is Kind.DIR):
            raise BuildfileError(
                f"cannot copy a {_noun(source.kind)} to {_shown(path)}: a directory is there", span=self.span
            )
        self._put(path, Placed(source, content))
        self.same.pop(path, None)
        if identity is not None and source.kind is Kind.FILE:
            self.same[path] = identity

    def sorted_items(self) -> Iterator[Item]:
        """The layer's entries in the order in which they are packed; a hard link stands after its file."""
        return self._items_of(sorted(self.items))

    def items_with_parents(self) -> Iterator[Item]:
        """The same, and before them the directories of the layers below that they are in, as they are there.

        A directory that a layer does not mention is of root and 0755 for some tools (buildah 1.28.2, overlay driver):
        a file copied to /tmp would make it an ordinary directory.
        """
        return self._items_of(sorted([*self.items, *self._above()]))

    def _above(self) -> set[bytes]:
        """The directories that entries of the new layer are in, as far as they are of the layers below."""
        seen: set[bytes] = set()
        for path in self.items:
            while (path := path.rpartition(b"/")[0]) and path not in seen:
                seen.add(path)
        return {path for path in seen if path not in self.items and self.view.get(path) is not None}

    def _items_of(self, paths: list[bytes]) -> Iterator[Item]:
        first: dict[Hashable, bytes] = {}
        for path in paths:
            target = first.setdefault(self.same[path], path) if path in self.same else path
            if target == path:
                yield self._item(path)
            else:
                entry = self.attributes.applied(self.items[path].entry, path)
                yield Item(entry._replace(kind=Kind.HARDLINK, link=target, size=0, digest=""))

    def _item(self, path: bytes) -> Item:
        placed = self.items.get(path)
        if placed is None:
            located = self.view.get(path)
            assert located is not None, "only what the layers below have is asked for"
            return Item(located.entry)
        entry, content = placed
        if entry.kind is Kind.DIR:
            return Item(entry)
        if isinstance(content, Supply):
            content = content.of(entry) if entry.kind is Kind.FILE else None
        return Item(self.attributes.applied(entry, path), content)


def _shown(path: bytes) -> str:
    return "/" + path.decode("utf-8", "backslashreplace")


def _noun(kind: Kind) -> str:
    return {Kind.FILE: "file", Kind.HARDLINK: "file", Kind.SYMLINK: "symlink", Kind.DIR: "directory"}.get(
        kind, "special file"
    )
