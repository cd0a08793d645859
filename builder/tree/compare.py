"""Two file systems compared by their views: what came, what went, what changed and in which respect. No disk is read.

Names of one file (hard links) are compared one by one. Contents are compared by their digests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from builder.declare import dataclass
from builder.tree.view import Located, View
from builder.values.entry import Entry, Kind


class Aspect(StrEnum):
    """In which respect a path changed."""

    KIND = "kind"
    CONTENT = "content"
    LINK = "link"
    DEVICE = "device"
    MODE = "mode"
    OWNER = "owner"
    ATTRIBUTES = "attributes"
    TIME = "time"


WHAT_IT_IS = frozenset((Aspect.KIND, Aspect.CONTENT, Aspect.LINK, Aspect.DEVICE))
WITHOUT_TIMES = frozenset(Aspect) - {Aspect.TIME}
"""What is compared unless more is asked for: two builds of the same files give them different times."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is different at a path: `before` is None for what came, `after` for what went; else `aspects` says."""

    before: Entry | None
    after: Entry | None
    aspects: tuple[Aspect, ...] = ()

    @property
    def path(self) -> bytes:
        """Where it is."""
        entry = self.after or self.before
        return entry.path if entry is not None else b""

    @property
    def growth(self) -> int:
        """By how many bytes its content became larger."""
        return (self.after.size if self.after else 0) - (self.before.size if self.before else 0)


def changes(before: View, after: View, aspects: Iterable[Aspect] = WITHOUT_TIMES) -> Iterator[Change]:
    """All paths that differ in one of the aspects, or are in one view only; in the order of a walk."""
    asked = frozenset(aspects)
    new = dict(_entries(after))
    old = dict(_entries(before))
    for path in sorted(_differing(old, new), key=lambda path: path.split(b"/")):
        was, now = old.get(path), new.get(path)
        if was is None or now is None:
            yield Change(was, now)
            continue
        found = tuple(aspect for aspect in _aspects(was, now) if aspect in asked)
        if found:
            yield Change(was, now, found)


def _differing(old: dict[bytes, Entry], new: dict[bytes, Entry]) -> Iterator[bytes]:
    """Paths whose entries are not the very same; what comes from a layer that both have is passed over at once."""
    for path, now in new.items():
        was = old.get(path)
        if was is not now and was != now:
            yield path
    yield from old.keys() - new.keys()


def _entries(view: View) -> Iterator[tuple[bytes, Entry]]:
    located: Located
    for located in view.walk(b""):
        yield located.entry.path, located.entry


def _aspects(was: Entry, now: Entry) -> Iterator[Aspect]:
    """In which respects two entries of one path differ."""
    if was.kind is not now.kind:
        yield Aspect.KIND
    elif now.kind is Kind.FILE and (was.size, was.digest) != (now.size, now.digest):
        yield Aspect.CONTENT
    elif now.kind is Kind.SYMLINK and was.link != now.link:
        yield Aspect.LINK
    elif was.rdev != now.rdev:
        yield Aspect.DEVICE
    if now.kind is not Kind.SYMLINK and was.kind is not Kind.SYMLINK and was.mode != now.mode:
        yield Aspect.MODE  # a symbolic link's mode means nothing, symlink(7)
    if (was.uid, was.gid) != (now.uid, now.gid):
        yield Aspect.OWNER
    if was.xattrs != now.xattrs:
        yield Aspect.ATTRIBUTES
    if was.mtime_ns != now.mtime_ns:
        yield Aspect.TIME
