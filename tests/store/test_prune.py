"""Pruning a store: what goes, what stays, and what others that use it at the same time see of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.store import Store
from builder.store.check import check
from builder.store.holdings import Kind
from builder.store.policy import Policy
from builder.store.prune import foresee, prune, release
from builder.store.usage import usage
from builder.values.digest import Digest
from builder.values.mount import Sharing
from builder.values.reference import Reference
from tests.store import stocks

ALL = Policy(everything=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with an image, a base, their snapshots and a cache mount, and nobody in it."""
    with Store.open(tmp_path / "store") as store:
        stocks.snapshot(store, stocks.image(store, "app:1", "one", "two"))
        stocks.snapshot(store, stocks.base(store, "debian:12", "base"))
        stocks.cache(store, "pip")
    return tmp_path / "store"


def test_what_is_in_order_stays(root: Path) -> None:
    """Without asking for more, nothing of a store goes that could be of use."""
    before = stocks.files_of(root)
    with Store.open(root) as store:
        assert prune(store, Policy()).gone == ()
    assert stocks.files_of(root) == before


def test_what_nothing_leads_to_goes(root: Path) -> None:
    """An image without a name, a layer without a record and an index without a layer go, and the rest stays."""
    before = stocks.files_of(root)
    with Store.open(root) as store:
        stocks.manifest(store, [stocks.layer(store, "loose")])
        store.blobs.put(b"nothing leads here")
    with Store.open(root) as store:
        gone = prune(store, Policy()).gone
        assert {each.kind for each in gone} == {Kind.LEFTOVERS} and len(gone) == 6
        assert check(store) == []
    assert stocks.files_of(root) == before


def test_all_leaves_the_named(root: Path) -> None:
    """After pruning all of the cache an image with a name is whole, and nothing is there but that."""
    with Store.open(root) as store:
        freed = prune(store, ALL)
        assert check(store) == []
        assert freed.left_bytes == freed.named_bytes
    left = stocks.files_of(root)
    assert sum(name.startswith("blobs") for name in left) == 4  # manifest, config, two layers
    assert not any(part in name for name in left for part in ("steps/", "pulled/", "snapshots/", "caches/"))


def test_old_cache_goes(root: Path) -> None:
    """By age goes what was not used for so long; finding something makes it young."""
    stocks.age(root, 10)
    with Store.open(root) as store:
        found = store.records.find(stocks.key("one"))
        assert found is not None and found.diff_id is not None and store.layers.find(found.diff_id)
    with Store.open(root) as store:
        gone = prune(store, Policy(older_than_s=7 * 86_400)).gone
        assert store.records.find(stocks.key("one")) is not None
        assert store.records.find(stocks.key("two")) is None
        assert {each.kind for each in gone} == {Kind.STEPS, Kind.BASES, Kind.SNAPSHOTS, Kind.CACHES}
        assert check(store) == []


def test_the_least_used_goes_first(tmp_path: Path) -> None:
    """A size is kept by dropping what was not used for longest, and no more than that."""
    with Store.open(tmp_path / "store") as store:
        for number in range(5):
            stocks.step(store, f"step {number} ", 100_000)
            stocks.age(store.root, 1)
    with Store.open(tmp_path / "store") as store:
        freed = prune(store, Policy(keep_bytes=260_000))
        assert freed.left_bytes <= 260_000
        known = [store.records.find(stocks.key(f"step {number} ")) is not None for number in range(5)]
        assert known == [False, False, False, True, True]
        assert check(store) == []


def test_a_size_that_cannot_be_kept(root: Path) -> None:
    """Where named images need more than the limit, all of the cache goes, and it is told how much they need."""
    with Store.open(root) as store:
        freed = prune(store, Policy(keep_bytes=1))
        assert freed.left_bytes == freed.named_bytes > 1
        assert check(store) == []


def test_one_kind_alone(root: Path) -> None:
    """A policy for one kind touches nothing else, not even what is left over."""
    with Store.open(root) as store:
        store.blobs.put(b"nothing leads here")
    with Store.open(root) as store:
        gone = prune(store, Policy(everything=True, kinds=frozenset((Kind.SNAPSHOTS,)))).gone
        assert [each.kind for each in gone] == [Kind.SNAPSHOTS] * 2
        assert store.blobs.has(Digest.of(b"nothing leads here"))


def test_steps_take_their_layers_along(tmp_path: Path) -> None:
    """With the last step that leads to a layer go its record, its index, its blob and its snapshots."""
    with Store.open(tmp_path / "store") as store:
        made = stocks.manifest(store, [stocks.step(store, "one")])
        store.images.tag(Reference.parse("app:1"), made.manifest)
        stocks.snapshot(store, made)
        store.images.untag(Reference.parse("app:1"))
    with Store.open(tmp_path / "store") as store:
        kinds = sorted(
            each.key.split("/")[1]
            for each in prune(store, Policy(everything=True, kinds=frozenset((Kind.STEPS,)))).gone
        )
        assert kinds == ["indexes", "layers", "sha256", "snapshots", "steps"]


def test_looking_ahead_changes_nothing(root: Path) -> None:
    """What would go is told, with the same numbers, and not a file or a time is changed."""
    before = {name: (root / name).lstat().st_mtime_ns for name in stocks.files_of(root)}
    with Store.open(root) as store:
        ahead = foresee(store, ALL)
    after = {name: (root / name).lstat().st_mtime_ns for name in stocks.files_of(root)}
    assert after == before
    with Store.open(root) as store:
        done = prune(store, ALL)
    assert {each.key for each in ahead.gone} == {each.key for each in done.gone}
    assert (ahead.left_bytes, ahead.named_bytes) == (done.left_bytes, done.named_bytes)


def test_what_a_session_has_found_stays(root: Path) -> None:
    """A step that another living session has found stays with its layer, its blob and its index."""
    with Store.open(root) as building, Store.open(root) as other:
        found = building.records.find(stocks.key("one"))
        assert found is not None and found.diff_id is not None
        building.images.untag(Reference.parse("app:1"))
        prune(other, ALL)
        record = building.layers.find(found.diff_id)
        assert record is not None and building.layers.has_index(found.diff_id)
        assert building.blobs.has(record.descriptor.digest)
        assert building.records.find(stocks.key("two")) is None


def test_what_a_session_has_made_stays(tmp_path: Path) -> None:
    """A blob that is not recorded yet stays while the session lives that made it, and goes afterwards."""
    with Store.open(tmp_path / "store") as other:
        with Store.open(tmp_path / "store") as building:
            digest = building.blobs.put(b"to be recorded")
            assert prune(other, ALL).gone == ()
        assert [each.key for each in prune(other, ALL).gone] == [f"blobs/sha256/{digest.hex}"]


def test_an_image_in_use_outlives_its_name(root: Path) -> None:
    """A base that a session has found by its name stays whole though the name goes."""
    with Store.open(root) as building, Store.open(root) as other:
        found = building.images.find(Reference.parse("app:1"))
        assert found is not None
        other.images.untag(Reference.parse("app:1"))
        prune(other, ALL)
        assert release(other, found.digest).gone == ()
        needed = stocks.manifest(building, [stocks.layer(building, "one"), stocks.layer(building, "two")])
        assert needed.manifest.digest == found.digest
        building.images.tag(Reference.parse("again:1"), found)
        assert check(building) == []


def test_a_clock_that_is_set_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found after the clock was set back is as new as the session that found it."""
    with Store.open(root) as building, Store.open(root) as other:
        stocks.age(root, 3)
        monkeypatch.setattr("time.time_ns", lambda: 1_000_000_000)
        assert building.records.find(stocks.key("one")) is not None
        prune(other, ALL)
        assert building.records.find(stocks.key("one")) is not None


def test_times_of_others_are_not_believed(root: Path) -> None:
    """What is older than every living session goes although a dead one's room says otherwise."""
    room = root / "pybuild" / "tmp" / "dead"
    room.mkdir()
    (room / "lock").touch()
    os.utime(room / "lock", ns=(0, 0))
    with Store.open(root) as store:
        assert prune(store, ALL).gone


def test_a_cache_mount_in_use_stays(root: Path) -> None:
    """A cache whose lock anybody holds is left where it is; the others go."""
    with Store.open(root) as store:
        stocks.cache(store, "npm")
        lease = store.caches.lock("pip", Sharing.SHARED)
        gone = prune(store, Policy(everything=True, kinds=frozenset((Kind.CACHES,)))).gone
        assert [each.label for each in gone] == ["npm"]
        assert lease.directory.is_dir()
        lease.lock.release()


def test_nobody_knows_what_has_names(root: Path) -> None:
    """Where index.json is damaged nothing is removed."""
    before = stocks.files_of(root)
    with Store.open(root) as store:
        (root / "index.json").write_text("{")
        with pytest.raises(StoreError, match="damaged"):
            prune(store, ALL)
    assert stocks.files_of(root) == before


def test_entries_of_other_tools_are_kept_whole(root: Path) -> None:
    """What index.json leads to stays, by lists within lists and without a name, whatever its age."""
    with Store.open(root) as store:
        inner = stocks.manifest(store, [stocks.layer(store, "foreign")]).manifest
        entry = f'{{"mediaType":"m","digest":"{inner.digest}","size":{inner.size}}}'
        outer = store.blobs.put(f'{{"manifests":[{entry}]}}'.encode())
        (root / "index.json").write_text(f'{{"manifests":[{{"digest":"{outer}"}}]}}')
    stocks.age(root, 1000)
    with Store.open(root) as store:
        prune(store, ALL)
        assert store.blobs.has(outer) and store.blobs.has(inner.digest) and store.blobs.has(Digest.of(b"foreign"))


def test_records_that_lead_nowhere_go(root: Path) -> None:
    """A step whose layer is gone, and a base whose manifest is gone, are of no use."""
    with Store.open(root) as store:
        store.blobs.discard(Digest.of(b"one"))
        store.images.untag(Reference.parse("app:1"))
    with Store.open(root) as store:
        assert check(store) != []
        prune(store, Policy())
        assert check(store) == []
        assert store.records.find(stocks.key("two")) is not None


def test_an_output_keeps_its_bytes(root: Path, tmp_path: Path) -> None:
    """A blob that an output holds by a hard link frees nothing when its name here goes."""
    with Store.open(root) as store:
        digest = store.blobs.put(b"nothing leads here")
        os.link(store.blobs.path(digest), tmp_path / "output")
    with Store.open(root) as store:
        (gone,) = prune(store, Policy()).gone
        assert gone.is_linked and gone.frees_bytes == 0 and gone.size.size_bytes > 0


def test_release_takes_what_nobody_else_needs(tmp_path: Path) -> None:
    """Of an image that lost its name, the manifest and the config go; layers of the cache and of others stay."""
    with Store.open(tmp_path / "store") as store:
        shared, own, cached = stocks.layer(store, "shared"), stocks.layer(store, "own"), stocks.step(store, "cached")
        stays = stocks.manifest(store, [shared])
        goes = stocks.manifest(store, [shared, own, cached])
        store.images.tag(Reference.parse("stays:1"), stays.manifest)
        gone = {each.key for each in release(store, goes.manifest.digest).gone}
        assert f"blobs/sha256/{goes.manifest.digest.hex}" in gone
        assert f"blobs/sha256/{own.descriptor.digest.hex}" in gone
        assert f"blobs/sha256/{shared.descriptor.digest.hex}" not in gone
        assert f"blobs/sha256/{cached.descriptor.digest.hex}" not in gone
        assert check(store) == []


def test_many_things_go_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, all go, and the store is sound after each turn."""
    monkeypatch.setattr("builder.store.prune._A_TURN", 3)
    with Store.open(tmp_path / "store") as store:
        for number in range(7):
            stocks.step(store, f"step {number}")
        made = stocks.image(store, "app:1", "step 0", "more")
        for kinds in ({Kind.STEPS}, set(Kind)):
            prune(store, Policy(everything=True, kinds=frozenset(kinds)))
            assert check(store) == []
        assert store.images.find(Reference.parse("app:1")) is not None
        assert store.blobs.has(made.manifest.digest) and not store.blobs.has(Digest.of(b"step 3"))


def test_a_full_disk_can_be_pruned(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not even a room can be made the store is looked at and pruned all the same; only new things are refused."""

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("builder.store.session.make_private", full)
    with Store.open(root) as store:
        found = store.images.find(Reference.parse("app:1"))
        assert found is not None and store.blobs.read(found.digest, 1 << 20)
        assert usage(store).size.size_bytes > 0
        assert prune(store, ALL).gone
        with pytest.raises(StoreError, match="no space left"):
            store.blobs.put(b"new")
