"""All that a store holds and what leads to what: named images, and what the cache remembers, down to the blobs.

This only looks; what is looked at is not used by it, and nothing is changed. A `Thing` is one file or directory that is
removed as a whole. What nothing leads to, neither a name nor a thing of the cache, is left over.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from builder.declare import dataclass, replace
from builder.store import sizes
from builder.store.documents import AREA, BLOBS, Documents, State
from builder.store.images import Images


class Kind(StrEnum):
    """What people tell apart in a store."""

    IMAGES = "images"  # what has a name, and all that it is made of
    STEPS = "steps"  # the step cache, with layers that no name and no base needs
    BASES = "bases"  # images of the outside world as they were when they were last asked for
    VARIANTS = "variants"  # layers compressed anew for an output
    SNAPSHOTS = "snapshots"
    CACHES = "caches"
    FINGERPRINTS = "fingerprints"
    BUILDS = "builds"  # what `pybuild builds` lists
    LEFTOVERS = "leftovers"  # what nothing leads to, and the trash
    UNFINISHED = "unfinished"  # what builds that run now are working on


PRUNABLE = tuple(kind for kind in Kind if kind not in (Kind.IMAGES, Kind.UNFINISHED))
"""What may be asked for by its kind."""


_FOLDERS: dict[str, Kind | None] = {
    BLOBS: None,
    f"{AREA}/layers": None,
    f"{AREA}/indexes": None,
    f"{AREA}/steps": Kind.STEPS,
    f"{AREA}/pulled": Kind.BASES,
    f"{AREA}/variants": Kind.VARIANTS,
    f"{AREA}/fingerprints": Kind.FINGERPRINTS,
    f"{AREA}/builds": Kind.BUILDS,
}
SNAPSHOTS = f"{AREA}/snapshots"
CACHES = f"{AREA}/caches"


@dataclass(frozen=True, slots=True)
class Thing:
    """Something of a store. `key` is its path below the store's root; `needs` are keys, there or not, and without
    `stands_on` (if it has such) it is worth nothing.

    `cache` is what it is of the cache, None for what is only there because something needs it, and for what is not
    whole. A root stays by itself. `used_ns` is when it was last found or made (Unix time). What `is_linked` has a name
    outside of the store too (an output), and what is not `is_ours` another owner: it cannot be touched, so it stays.
    """

    key: str
    size: sizes.Size
    used_ns: int
    label: str
    needs: tuple[str, ...] = ()
    stands_on: str = ""
    cache: Kind | None = None
    is_root: bool = False
    is_ours: bool = True
    is_linked: bool = False


@dataclass(frozen=True, slots=True)
class Holdings:
    """Everything there is in a store by its key, and the keys that index.json names, with the records of the pulls that
    say where a named image's layers are which the store lacks.
    """

    things: Mapping[str, Thing]
    named: frozenset[str]

    def reach(self, roots: Iterable[str], without: Collection[str] = ()) -> set[str]:
        """What the roots lead to, themselves included, by ways that do not pass `without`."""
        found: set[str] = set()
        waiting = [key for key in roots if key in self.things and key not in without]
        while waiting:
            key = waiting.pop()
            if key not in found:
                found.add(key)
                waiting += [need for need in self.things[key].needs if need in self.things and need not in without]
        return found

    def kinds(self) -> dict[str, Kind]:
        """What each thing counts as: a layer that an image and a step need is the image's."""
        counted: dict[str, Kind] = {}
        own = {key: thing.cache for key, thing in self.things.items() if thing.cache is not None}
        for kind in (Kind.IMAGES, Kind.BASES, Kind.STEPS, Kind.VARIANTS):
            roots = self.named if kind is Kind.IMAGES else [key for key, cache in own.items() if cache is kind]
            for key in self.reach(roots):
                counted.setdefault(key, kind)
        return {key: own.get(key) or counted.get(key) or Kind.LEFTOVERS for key in self.things}

    def is_broken(self, key: str) -> bool:
        """Whether what a record stands on is gone."""
        while thing := self.things.get(key):
            if not thing.stands_on:
                return False
            key = thing.stands_on
        return True

    def size_bytes(self, keys: Iterable[str]) -> int:
        """The room that these take together."""
        return sum(self.things[key].size.size_bytes for key in keys)


class Surveyor:
    """Looks at a store, again and again if need be: documents that have not changed are read once."""

    def __init__(self, root: Path, images: Images) -> None:
        self._root = root
        self._images = images
        self._documents = Documents(root)

    def look(self) -> Holdings:
        """The store as it is now. Raises OSError, and StoreError for an index.json that cannot be read."""
        named = self._documents.names(self._images.entries())
        things = {thing.key: thing for thing in self._files()}
        for thing, layer in self._snapshots():
            things[thing.key] = thing
            record = things.get(layer)
            if record is not None:
                things[layer] = replace(record, needs=(*record.needs, thing.key))
        things.update((thing.key, thing) for thing in self._caches())
        return Holdings(things, named | _promises(Holdings(things, named)))

    def _files(self) -> Iterator[Thing]:
        for folder, cache in _FOLDERS.items():
            for entry, facts in _entries(self._root / folder):
                read = self._documents.read(folder, entry.name, facts) if stat.S_ISREG(facts.st_mode) else None
                if read is not None:  # else none of ours: for `check` to report
                    yield Thing(
                        key=f"{folder}/{entry.name}",
                        size=sizes.Size(sizes.of_facts(facts)),
                        used_ns=facts.st_mtime_ns,
                        label=read.label,
                        needs=read.needs,
                        stands_on=read.stands_on,
                        cache=None if read.useless else cache,
                        is_root=cache is not None and not read.useless,
                        is_ours=facts.st_uid == os.geteuid(),
                        is_linked=facts.st_nlink > 1,
                    )

    def _snapshots(self) -> Iterator[tuple[Thing, str]]:
        """Each with the key of the record of its layer, with which it comes and goes."""
        for entry, facts in _entries(self._root / SNAPSHOTS):
            if stat.S_ISDIR(facts.st_mode):
                state = self._documents.snapshot(entry.name, facts)
                cache = None if state.useless else Kind.SNAPSHOTS
                # One made before states named their layer stands by itself.
                yield _directory(SNAPSHOTS, entry, facts, state, (cache, not state.layer)), state.layer

    def _caches(self) -> Iterator[Thing]:
        for entry, facts in _entries(self._root / CACHES):
            if stat.S_ISDIR(facts.st_mode):
                state = self._documents.cache_mount(entry.name, facts)
                yield _directory(CACHES, entry, facts, state, (None if state.useless else Kind.CACHES, True))


def _promises(holdings: Holdings) -> frozenset[str]:
    """The records of pulled images that have a layer which something with a name needs and which is not here."""
    things = holdings.things
    lacking = {
        need
        for key in holdings.reach(holdings.named)
        for need in things[key].needs
        if need not in things and need.startswith(BLOBS)
    }
    if not lacking:
        return frozenset()
    return frozenset(
        key
        for key, thing in things.items()
        if thing.cache is Kind.BASES
        and (manifest := things.get(thing.stands_on))
        and not lacking.isdisjoint(manifest.needs)
    )


def _directory(
    folder: str, entry: os.DirEntry[str], facts: os.stat_result, state: State, stand: tuple[Kind | None, bool]
) -> Thing:
    cache, is_root = stand
    return Thing(
        key=f"{folder}/{entry.name}",
        size=state.size,
        used_ns=state.used_ns,
        label=state.label,
        cache=cache,
        is_root=is_root and cache is not None,
        is_ours=facts.st_uid == os.geteuid(),
    )


def _entries(directory: Path) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """What is in a directory, with its status; what goes away while we look is left out."""
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return
    for entry in entries:
        try:
            yield entry, entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
