"""Decisions over holdings, without a store."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from builder.store.holdings import Holdings, Kind, Thing
from builder.store.policy import Moment, Policy, doomed, in_order
from builder.store.sizes import Size

NOW = Moment(1_000_000_000_000, None)
NAMES = [f"t{number}" for number in range(12)]


@st.composite
def holdings(draw: st.DrawFn) -> Holdings:
    """Up to twelve things that need later ones, some of them cache, some named."""
    things = {}
    for place, name in enumerate(NAMES):
        cache = draw(st.sampled_from([None, None, Kind.STEPS, Kind.SNAPSHOTS, Kind.CACHES]))
        needs = tuple(draw(st.lists(st.sampled_from(NAMES[place + 1 :]), max_size=3))) if NAMES[place + 1 :] else ()
        things[name] = Thing(
            key=name,
            size=Size(draw(st.integers(0, 100))),
            used_ns=draw(st.integers(0, 1000)) * 1_000_000_000,
            label=name,
            needs=needs,
            cache=cache,
            is_root=cache is not None and draw(st.booleans()),
            is_ours=draw(st.sampled_from([True, True, True, False])),
        )
    return Holdings(things, frozenset(draw(st.lists(st.sampled_from(NAMES), max_size=2))))


policies = st.builds(
    Policy,
    older_than_s=st.none() | st.integers(0, 1200),
    keep_bytes=st.none() | st.integers(0, 1200),
    everything=st.booleans(),
    kinds=st.just(frozenset(Kind)) | st.frozensets(st.sampled_from(list(Kind))),
)
moments = st.builds(Moment, st.just(NOW.now_ns), st.none() | st.integers(0, 1000).map(lambda s: s * 1_000_000_000))


@given(holdings(), policies, moments)
def test_what_is_held_stays(held: Holdings, policy: Policy, moment: Moment) -> None:
    """Names, what living sessions use and what is not ours stay, with all they need but cache that can come back."""
    gone = set(doomed(held, policy, moment))
    roots = set(held.named) | {
        key
        for key, thing in held.things.items()
        if not thing.is_ours or (moment.since_ns is not None and thing.used_ns >= moment.since_ns)
    }
    assert not roots & gone
    droppable = {key for key, thing in held.things.items() if thing.cache is not None}
    assert not held.reach(roots, without=droppable - roots) & gone


@given(holdings(), moments)
def test_twice_is_once(held: Holdings, moment: Moment) -> None:
    """What a policy has left it leaves again."""
    for policy in (Policy(), Policy(everything=True), Policy(keep_bytes=200), Policy(older_than_s=300)):
        gone = doomed(held, policy, moment)
        left = Holdings({key: thing for key, thing in held.things.items() if key not in gone}, held.named)
        assert doomed(left, policy, moment) == []


@given(holdings(), st.integers(0, 1200))
def test_a_size_is_kept_where_it_can_be(held: Holdings, keep: int) -> None:
    """Afterwards the store is as small as asked for, or holds nothing that could go."""
    gone = set(doomed(held, Policy(keep_bytes=keep), NOW))
    everything = set(doomed(held, Policy(everything=True), NOW))
    assert gone <= everything
    left = held.size_bytes(held.things.keys() - gone)
    assert (
        left <= keep
        or held.size_bytes(everything - gone) == 0
        or left == held.size_bytes(held.things.keys() - everything)
    )


@given(holdings())
def test_what_leads_goes_first(held: Holdings) -> None:
    """In the order of removal nothing comes before what leads to it."""
    order = in_order(held, held.things.keys())
    assert sorted(order) == sorted(held.things)
    place = {key: at for at, key in enumerate(order)}
    assert all(place[key] < place[need] for key, thing in held.things.items() for need in thing.needs)


def test_tables_of_contexts_that_nobody_builds() -> None:
    """The remembered digests of a context go by themselves when it was not built for a month."""
    month_ns = 30 * 86_400 * 1_000_000_000
    table = Thing("t", Size(1), 0, "t", cache=Kind.FINGERPRINTS, is_root=True)
    things = Holdings({"t": table}, frozenset())
    assert doomed(things, Policy(), Moment(month_ns, None)) == ["t"]
    assert doomed(things, Policy(), Moment(month_ns - 1, None)) == []
    assert (
        doomed(Holdings({"t": replace(table, cache=Kind.STEPS)}, frozenset()), Policy(), Moment(month_ns, None)) == []
    )
