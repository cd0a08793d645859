"""What a store holds."""

from __future__ import annotations

from builder.store import Store
from builder.store.holdings import Holdings, Kind, Surveyor, Thing
from builder.store.sizes import Size
from tests.store import stocks


def test_everything_is_seen(store: Store) -> None:
    """Every file of the store is part of one thing, but for locks, rooms, the trash and what makes it a layout."""
    made = stocks.image(store, "app:1", "one")
    stocks.snapshot(store, made)
    stocks.base(store, "debian:12", "base")
    stocks.cache(store, "pip")
    keys = Surveyor(store.root, store.images).look().things.keys()
    for name in stocks.files_of(store.root) - {"index.json", "oci-layout", "pybuild/version"}:
        assert any(name == key or name.startswith(key + "/") for key in keys), name


def test_what_counts_as_what(store: Store) -> None:
    """A layer that a name and a step need is the image's; one that only a step needs is the step cache's."""
    made = stocks.image(store, "app:1", "one")
    only = stocks.step(store, "two")
    base = stocks.base(store, "debian:12", "base")
    kinds = Surveyor(store.root, store.images).look().kinds()
    assert kinds[f"blobs/sha256/{made.manifest.digest.hex}"] is Kind.IMAGES
    assert kinds[f"pybuild/layers/{made.diff_ids[0].hex}.json"] is Kind.IMAGES
    assert kinds[f"blobs/sha256/{only.descriptor.digest.hex}"] is Kind.STEPS
    assert kinds[f"blobs/sha256/{base.manifest.digest.hex}"] is Kind.BASES
    assert kinds[f"pybuild/steps/{stocks.key('one').hex}.json"] is Kind.STEPS


def test_a_list_that_leads_to_itself() -> None:
    """Things that need each other in a ring are walked once."""
    ring = {key: Thing(key, Size(1), 0, key, needs=(need,)) for key, need in (("a", "b"), ("b", "a"))}
    assert Holdings(ring, frozenset()).reach(["a"]) == {"a", "b"}


def test_looking_uses_nothing(store: Store) -> None:
    """No time of any file changes."""
    stocks.snapshot(store, stocks.image(store, "app:1", "one"))
    stocks.age(store.root, 5)
    before = {name: (store.root / name).stat().st_mtime_ns for name in stocks.files_of(store.root)}
    Surveyor(store.root, store.images).look()
    assert {name: (store.root / name).stat().st_mtime_ns for name in stocks.files_of(store.root)} == before


def test_a_pull_that_an_image_relies_on_counts_as_named(store: Store) -> None:
    """It says where a layer is that the image has and the store lacks; while the layer is here nobody relies on it."""
    made = stocks.image(store, "app:1", "one")
    stocks.base(store, "debian:12", "one", "two")
    stocks.base(store, "other:1", "three")
    assert Surveyor(store.root, store.images).look().named == {f"blobs/sha256/{made.manifest.digest.hex}"}
    store.blobs.discard(stocks.layer(store, "one").descriptor.digest)
    holdings = Surveyor(store.root, store.images).look()
    relied = holdings.named - {f"blobs/sha256/{made.manifest.digest.hex}"}
    assert [holdings.things[key].label for key in relied] == ["docker.io/library/debian:12"]
