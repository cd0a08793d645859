"""Pruning: what a policy dooms is moved to the trash, beside running builds and without ever harming one.

It is looked twice: first without a lock, to read and measure what there is; then alone at the gate where finding
passes too, so that what is decided holds until it is done. There is only asking for times and moving then, and a
turn is over after 2,000 things, so that nobody waits long. Whoever is killed in between has moved only what nothing
that is left leads to. The trash itself is emptied by `stages.tidy`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from builder.declare import dataclass
from builder.store import files, locks
from builder.store.holdings import CACHES, Holdings, Kind, Surveyor
from builder.store.policy import Moment, Policy, doomed, released
from builder.store.sizes import Size
from builder.store.store import Store
from builder.values.digest import Digest

_A_TURN = 2000


@dataclass(frozen=True, slots=True)
class Gone:
    """One thing that went, and where it lies in the trash; where nothing was done, where it still is.

    Removing what is `is_linked` gives no room back: an output has the same file.
    """

    kind: Kind
    key: str
    label: str
    size: Size
    place: Path
    is_linked: bool = False

    @property
    def frees_bytes(self) -> int:
        """The room that its removal gives back; at least so much where its size is not whole."""
        return 0 if self.is_linked else self.size.size_bytes


@dataclass(frozen=True, slots=True)
class Freed:
    """What went, and how much room what is left in the store takes; `named_bytes` of it what has names."""

    gone: tuple[Gone, ...]
    left_bytes: int
    named_bytes: int


def prune(store: Store, policy: Policy) -> Freed:
    """Move what the policy dooms to the store's trash. What this very session has found is not in use any more.

    Raises StoreError, also where index.json cannot be read: then nobody knows what has names.
    """
    return _take(store, lambda holdings, moment, owed: doomed(holdings, policy, moment, owed))


def release(store: Store, manifest: Digest) -> Freed:
    """Move to the trash what a manifest without names had for itself; what the cache or another image needs stays.

    Raises StoreError.
    """
    return _take(store, lambda holdings, moment, owed: released(holdings, manifest, moment, owed))


def foresee(store: Store, policy: Policy) -> Freed:
    """What `prune` would do now. Raises StoreError."""
    with files.plain_errors("cannot look at the store"):
        holdings = Surveyor(store.root, store.images).look()
        keys = doomed(holdings, policy, moment_of(store))
    kinds = holdings.kinds()
    return _freed(holdings, [_gone(holdings, key, kinds[key], store.root / key) for key in keys])


def size_bytes(store: Store) -> int:
    """The room that the store takes, without its trash and unfinished work. Raises StoreError."""
    with files.plain_errors("cannot look at the store"):
        holdings = Surveyor(store.root, store.images).look()
    return holdings.size_bytes(holdings.things)


def moment_of(store: Store) -> Moment:
    """Now. Raises OSError."""
    return Moment(time.time_ns(), store.others_since_ns())


_Decide = Callable[[Holdings, Moment, Sequence[str]], list[str]]


def _take(store: Store, decide: _Decide) -> Freed:
    with files.plain_errors("cannot prune the store"):
        surveyor = Surveyor(store.root, store.images)
        kinds = surveyor.look().kinds()
        gone: list[Gone] = []
        owed: list[str] = []
        while True:
            with store.alone():
                holdings = surveyor.look()
                keys = decide(holdings, moment_of(store), owed)
                gone += _moved(store, holdings, keys[:_A_TURN], kinds)
            owed = keys[_A_TURN:]
            if not owed:
                return _freed(holdings, gone)
            time.sleep(2 * locks.GATE_POLL_S)


def _moved(store: Store, holdings: Holdings, keys: Sequence[str], kinds: dict[str, Kind]) -> list[Gone]:
    gone = []
    for key in keys:
        with ExitStack() as held:
            if key.startswith(CACHES) and not _leased(store.root / key, held):
                continue
            place = store.to_trash(store.root / key)
            gone.append(_gone(holdings, key, kinds.get(key, Kind.LEFTOVERS), place))
    return gone


def _leased(home: Path, held: ExitStack) -> bool:
    """Take all locks of a cache mount until it has moved; False where anybody else has one of them."""
    for name in os.listdir(home):
        if name.endswith(".lock"):
            lock = locks.try_exclusive(home / name)
            if lock is None:
                return False
            held.callback(lock.release)
    return True


def _gone(holdings: Holdings, key: str, kind: Kind, place: Path) -> Gone:
    thing = holdings.things[key]
    return Gone(kind, key, thing.label, thing.size, place, thing.is_linked)


def _freed(holdings: Holdings, gone: Sequence[Gone]) -> Freed:
    left = holdings.things.keys() - {each.key for each in gone}
    return Freed(tuple(gone), holdings.size_bytes(left), holdings.size_bytes(left & holdings.reach(holdings.named)))
