"""What takes room in a store."""

from __future__ import annotations

from builder.store import Store
from builder.store.holdings import Kind
from builder.store.policy import Policy
from builder.store.prune import prune
from builder.store.sizes import Size
from builder.store.usage import together, usage
from tests.store import stocks


def test_kinds_and_their_room(store: Store) -> None:
    """Every kind has its count and room, and the sum is that of all."""
    stocks.snapshot(store, stocks.image(store, "app:1", "one"))
    stocks.base(store, "debian:12", "base")
    stocks.cache(store, "pip", 100_000)
    found = {use.kind: use for use in usage(store).kinds}
    assert (found[Kind.STEPS].count, found[Kind.SNAPSHOTS].count, found[Kind.CACHES].count) == (1, 1, 1)
    assert found[Kind.CACHES].size.size_bytes >= 100_000
    assert found[Kind.IMAGES].reclaimable_bytes == 0
    assert usage(store).size.size_bytes == sum(use.size.size_bytes for use in found.values())


def test_what_can_be_had_back(store: Store) -> None:
    """What is said to be reclaimable is what pruning everything takes."""
    stocks.image(store, "app:1", "one")
    stocks.base(store, "debian:12", "base")
    said = usage(store).reclaimable_bytes
    assert said == sum(each.size.size_bytes for each in prune(store, Policy(everything=True)).gone) > 0


def test_trash_and_unfinished_work(store: Store) -> None:
    """What waits in the trash can be had back; what builds are working on cannot."""
    store.blobs.discard(store.blobs.put(b"bad" * 4000))
    with Store.open(store.root) as build:
        (build.snapshots.scratch() / "file").write_bytes(b"x" * 10_000)
        found = {use.kind: use for use in usage(store).kinds}
    assert found[Kind.UNFINISHED].count == 1  # without our own room
    assert found[Kind.LEFTOVERS].reclaimable_bytes >= 12_000
    assert found[Kind.UNFINISHED].size.size_bytes >= 10_000 and found[Kind.UNFINISHED].reclaimable_bytes == 0


def test_a_part_that_is_not_whole() -> None:
    """A sum is whole only if all its parts are."""
    assert together([Size(1), Size(2, whole=False)]) == Size(3, whole=False)
    assert together([]) == Size(0)
