"""Prune: what a policy takes out of the store leaves the disk, and what that has given back is counted.

Moving things to the trash is the store's part. Removing them is ours, outside of all locks: by ourselves, and by the
worker where directories of sub-ids are among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from builder.declare import dataclass
from builder.errors import PybuildError
from builder.stages.door import Door
from builder.stages.tidy import empty_trash
from builder.store import sizes
from builder.store.holdings import Kind
from builder.store.policy import Policy
from builder.store.prune import Freed, Gone, foresee, prune
from builder.store.store import Store
from builder.store.usage import together


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went. `freed` is the room that it really gave back; `left` is still in the trash because of `why`."""

    gone: tuple[Gone, ...]
    freed: sizes.Size
    left: tuple[Path, ...] = ()
    why: PybuildError | None = None


def carry_out(store: Store, policy: Policy, door: Door) -> Pruned:
    """Prune, and empty the trash. Raises StoreError."""
    waiting = _waiting(store) if Kind.LEFTOVERS in policy.kinds else []
    return removed(store, prune(store, policy), door, waiting)


def rehearse(store: Store, policy: Policy) -> Pruned:
    """What `carry_out` would do now. Raises StoreError."""
    waiting = _waiting(store) if Kind.LEFTOVERS in policy.kinds else []
    gone = (*waiting, *foresee(store, policy).gone)
    return Pruned(gone, _given_back(gone))


def removed(store: Store, freed: Freed, door: Door, waiting: Sequence[Gone] = ()) -> Pruned:
    """Empty the trash after things have gone there; `waiting` was in it before. Raises StoreError."""
    gone = (*waiting, *freed.gone)
    left, why = empty_trash(store, door)
    places = frozenset(left)
    return Pruned(gone, _given_back([each for each in gone if each.place not in places]), tuple(left), why)


def _given_back(gone: Sequence[Gone]) -> sizes.Size:
    return together(sizes.Size(each.frees_bytes, each.size.whole) for each in gone)


def _waiting(store: Store) -> list[Gone]:
    """What is in the trash already."""
    return [Gone(Kind.LEFTOVERS, path.name, path.name, sizes.of_tree(path), path) for path in store.trash()]
