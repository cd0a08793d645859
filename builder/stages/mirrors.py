"""Mirrors: parts of the context as trees of their own, for mounts and new caches. Each is made once in a build.

The context itself is never mounted: a step could change it, see it change, and see what the ignore file hides.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from builder.stages.source_tree import HostTree, walk
from builder.stages.turns import Turns
from builder.store.files import plain_errors
from builder.store.store import Store
from builder.values.entry import Entry, Kind

if TYPE_CHECKING:
    from builder.tree.pack import Item

_SPECIAL = (Kind.FIFO, Kind.CHAR, Kind.BLOCK, Kind.SOCKET)


class Mirrors:
    """The mirrors of a build, in rooms of the store's session."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turns = Turns()
        self._made: dict[tuple[HostTree, bytes], Path] = {}

    def of(self, tree: HostTree, top: bytes) -> Path:
        """A directory that has at `top` what `tree` has there without what is ignored, all of it root's inside.

        Raises ContextError, StoreError.
        """
        with self._turns.turn((tree, top)):
            made = self._made.get((tree, top))
            if made is None:
                made = self._made[tree, top] = self._mirrored(tree, top)
        return made / "fs"

    def discard(self) -> None:
        """Move them to the store's trash: no step will need one any more. Raises StoreError.

        One that a thread makes meanwhile, which an error has left behind, goes there with the session's room.
        """
        while self._made:
            self._store.snapshots.discard(self._made.popitem()[1])

    def _mirrored(self, tree: HostTree, top: bytes) -> Path:
        from builder.tree.mirror import mirror

        room = self._store.snapshots.scratch()
        try:
            with plain_errors("cannot copy the context for a mount"):
                mirror(_items(tree, top), room / "fs")
        except BaseException:
            self._store.snapshots.discard(room)
            raise
        return room


def _items(tree: HostTree, top: bytes) -> Iterator[Item]:
    from builder.tree.pack import Item

    first = tree.look(top)
    entries: list[Entry] = []
    if first is not None and top:
        parts = top.split(b"/")
        above = [tree.look(b"/".join(parts[:length])) for length in range(1, len(parts))]
        entries += [*(entry for entry in above if entry is not None), first]
    entries += [entry for entry in walk(tree, top) if entry.kind not in _SPECIAL]
    entries.sort(key=lambda entry: entry.path)
    files = [entry for entry in entries if entry.kind is Kind.FILE]
    contents = zip(tree.digests(files), tree.openers(files), strict=True)
    for entry in entries:
        if entry.kind is Kind.FILE:
            digest, opener = next(contents)  # the digest holds the content to what is in the step's key
            yield Item(entry._replace(digest=digest), opener)
        else:
            yield Item(entry)
