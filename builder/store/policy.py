"""What a pruning shall take, decided over a store's holdings. Nothing is touched here.

What a living session has found or made since it began (`since_ns`) is kept with all that it leads to, and so is what
has a name. Of the rest the cache goes by the policy, and with it what nothing else leads to.
"""

from __future__ import annotations

from collections.abc import Collection

from builder.declare import dataclass
from builder.store.documents import BLOBS
from builder.store.holdings import Holdings, Kind
from builder.values.digest import Digest

_UNUSED_CONTEXT_NS = 30 * 86_400 * 1_000_000_000  # a table of digests is of no use when its context is gone


@dataclass(frozen=True, slots=True)
class Policy:
    """By default only what nothing leads to any more goes.

    `older_than_s`: the cache that was not used for so many seconds goes too; `keep_bytes`: the least recently used
    cache until the store takes no more room than that; `everything`: all of the cache. `kinds` narrows all of this.
    `spared` are manifests that are kept as if they had names.
    """

    older_than_s: float | None = None
    keep_bytes: int | None = None
    everything: bool = False
    kinds: frozenset[Kind] = frozenset(Kind)
    spared: frozenset[Digest] = frozenset()


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is decided (Unix time), and when the oldest of the sessions began that are alive; None: there is none."""

    now_ns: int
    since_ns: int | None


def doomed(holdings: Holdings, policy: Policy, moment: Moment, owed: Collection[str] = ()) -> list[str]:
    """The keys of what shall go, what leads to something before that. `owed` went by an earlier decision."""
    held = held_keys(holdings, moment) | {f"{BLOBS}/{digest.hex}" for digest in policy.spared}
    roots = held | {key for key, thing in holdings.things.items() if thing.is_root and not holdings.is_broken(key)}
    dropped = _dropped(holdings, policy, moment, held)
    if policy.keep_bytes is not None:
        dropped |= _least_used(holdings, policy, roots, (held, dropped))
    gone = holdings.things.keys() - holdings.reach(roots - dropped, without=dropped)
    if Kind.LEFTOVERS not in policy.kinds:
        gone &= holdings.reach(roots) | set(owed)
    return in_order(holdings, gone)


def released(holdings: Holdings, manifest: Digest, moment: Moment, owed: Collection[str] = ()) -> list[str]:
    """The keys of what a manifest that has lost its name had for itself, in the same order."""
    roots = held_keys(holdings, moment) | {key for key, thing in holdings.things.items() if thing.is_root}
    return in_order(holdings, holdings.reach([f"{BLOBS}/{manifest.hex}", *owed]) - holdings.reach(roots))


def held_keys(holdings: Holdings, moment: Moment) -> set[str]:
    """What stays by itself: what has a name, what a living session uses, what is another user's."""
    since_ns = moment.since_ns
    return set(holdings.named) | {
        key
        for key, thing in holdings.things.items()
        if not thing.is_ours or (since_ns is not None and thing.used_ns >= since_ns)
    }


def _dropped(holdings: Holdings, policy: Policy, moment: Moment, held: Collection[str]) -> set[str]:
    """What goes by its kind and its age."""
    found = set()
    for key, thing in holdings.things.items():
        if thing.cache not in policy.kinds or key in held:
            continue
        age_ns = moment.now_ns - thing.used_ns
        limit_ns = None if policy.older_than_s is None else int(policy.older_than_s * 1e9)
        by_age = limit_ns is not None and age_ns >= limit_ns
        forgotten = thing.cache is Kind.FINGERPRINTS and age_ns >= _UNUSED_CONTEXT_NS
        if policy.everything or by_age or forgotten:
            found.add(key)
    return found


def _least_used(
    holdings: Holdings, policy: Policy, roots: set[str], settled: tuple[Collection[str], Collection[str]]
) -> set[str]:
    """What must go beside what is `dropped`, the longest unused first, until no more than `keep_bytes` are left."""
    held, dropped = settled
    things = holdings.things
    alive = holdings.reach(roots - set(dropped), without=dropped)
    left_bytes = holdings.size_bytes(alive)
    if Kind.LEFTOVERS not in policy.kinds:
        left_bytes += holdings.size_bytes(things.keys() - holdings.reach(roots))
    leads = dict.fromkeys(alive, 0)
    for key in alive:
        for need in things[key].needs:
            if need in leads:
                leads[need] += 1
    for key in roots & alive:
        leads[key] += 1
    candidates = sorted(
        (key for key in alive if things[key].cache in policy.kinds and key not in held),
        key=lambda key: (things[key].used_ns, key),
    )
    found = set()
    for key in candidates:
        if left_bytes <= (policy.keep_bytes or 0):
            break
        if key in leads:
            found.add(key)
            left_bytes -= _let_go(holdings, key, leads)
    return found


def _let_go(holdings: Holdings, key: str, leads: dict[str, int]) -> int:
    """Take a thing out of the counts of what leads where; the room that it and what only it needed take."""
    freed = 0
    waiting = [key]
    while waiting:
        key = waiting.pop()
        del leads[key]
        thing = holdings.things[key]
        freed += thing.size.size_bytes
        for need in thing.needs:
            if need in leads:
                leads[need] -= 1
                if leads[need] == 0:
                    waiting.append(need)
    return freed


def in_order(holdings: Holdings, keys: Collection[str]) -> list[str]:
    """What leads to something before that: so whoever is stopped half way leaves nothing that leads nowhere."""
    ended: list[str] = []
    seen: set[str] = set()
    for first in sorted(keys):
        if first in seen:
            continue
        seen.add(first)
        stack = [(first, iter(holdings.things[first].needs))]
        while stack:
            key, needs = stack[-1]
            for need in needs:
                if need in keys and need not in seen:
                    seen.add(need)
                    stack.append((need, iter(holdings.things[need].needs)))
                    break
            else:
                ended.append(key)
                stack.pop()
    return ended[::-1]


def reclaimable(holdings: Holdings, moment: Moment) -> set[str]:
    """What `everything` would take."""
    return set(doomed(holdings, Policy(everything=True), moment))
