"""What takes room in a store, by kind, and how much of it pruning all of the cache would give back. Only looks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from builder.declare import dataclass
from builder.store import files, sizes
from builder.store.holdings import Kind, Surveyor
from builder.store.policy import reclaimable
from builder.store.prune import moment_of
from builder.store.store import Store


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing of the store. `used_s` is when it was last found or made (Unix time)."""

    kind: Kind
    key: str  # its path below the store's root
    label: str
    size: sizes.Size
    used_s: float
    reclaimable: bool


@dataclass(frozen=True, slots=True)
class Use:
    """All of one kind: how many things, the room that they take, and how much of it can be had back."""

    kind: Kind
    count: int
    size: sizes.Size
    reclaimable_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a store holds, every kind in its order, also those of which there is nothing."""

    kinds: tuple[Use, ...]
    entries: tuple[Entry, ...]

    @property
    def size(self) -> sizes.Size:
        """The room that all of it takes."""
        return together(use.size for use in self.kinds)

    @property
    def reclaimable_bytes(self) -> int:
        """How much of it can be had back."""
        return sum(use.reclaimable_bytes for use in self.kinds)


def usage(store: Store) -> Usage:
    """What takes room in the store now. Raises StoreError."""
    with files.plain_errors("cannot look at the store"):
        holdings = Surveyor(store.root, store.images).look()
        kinds, free = holdings.kinds(), reclaimable(holdings, moment_of(store))
        entries = [
            Entry(kinds[key], key, thing.label, thing.size, thing.used_ns / 1e9, key in free)
            for key, thing in holdings.things.items()
        ]
        entries += _loose(store, "trash", Kind.LEFTOVERS) + _loose(store, "tmp", Kind.UNFINISHED)
        entries = [entry for entry in entries if store.root / entry.key != store.room]
    return Usage(tuple(_use(kind, entries) for kind in Kind), tuple(entries))


def together(parts: Iterable[sizes.Size]) -> sizes.Size:
    """The sum of sizes; at least so much where one of them is at least so much."""
    listed = list(parts)
    return sizes.Size(sum(part.size_bytes for part in listed), all(part.whole for part in listed))


def _loose(store: Store, folder: str, kind: Kind) -> list[Entry]:
    """What lies in the trash or in the rooms of sessions."""
    entries = []
    directory = store.root / "pybuild" / folder
    for name in sorted(os.listdir(directory)):
        try:
            used_s = os.lstat(directory / name).st_mtime
        except FileNotFoundError:
            continue
        size = sizes.of_tree(directory / name)
        entries.append(Entry(kind, f"pybuild/{folder}/{name}", name, size, used_s, kind is Kind.LEFTOVERS))
    return entries


def _use(kind: Kind, entries: Sequence[Entry]) -> Use:
    ours = [entry for entry in entries if entry.kind is kind]
    free_bytes = sum(entry.size.size_bytes for entry in ours if entry.reclaimable)
    return Use(kind, len(ours), together(entry.size for entry in ours), free_bytes)
