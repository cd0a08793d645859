"""Snapshots: scratch, publish, find."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.store import Store, files
from builder.store.documents import Documents
from builder.store.snapshots import SNAPSHOT_VERSION
from builder.values.digest import ChainId, DiffId

CHAIN = ChainId.of(b"chain")


def _tree(store: Store, name: str = "fs", content: bytes = b"x") -> Path:
    tree = store.snapshots.scratch() / name
    tree.mkdir()
    (tree / "file").write_bytes(content)
    return tree


def test_published_tree_is_found(store: Store) -> None:
    """A tree is found under its chain once it is published, and not before."""
    tree = _tree(store)
    assert store.snapshots.find(CHAIN) is None
    published = store.snapshots.publish(tree, CHAIN)
    assert store.snapshots.find(CHAIN) == published
    assert (published / "file").read_bytes() == b"x"
    assert not tree.exists()


def test_scratch_with_fs_can_be_published(store: Store) -> None:
    """A scratch that holds the tree as `fs` is as good as the tree itself."""
    assert store.snapshots.publish(_tree(store).parent, CHAIN) == store.snapshots.find(CHAIN)


def test_upper_is_published_and_its_work_directory_trashed(store: Store) -> None:
    """Of a step's scratch only the named directory becomes the snapshot; what lies beside it goes to the trash."""
    upper = _tree(store, "upper")
    (upper.parent / "work").mkdir()
    published = store.snapshots.publish(upper, CHAIN)
    assert sorted(os.listdir(published.parent)) == ["fs", "state"]
    assert len(store.trash()) == 1


def test_read_only_root_can_be_published(store: Store) -> None:
    """A tree whose root nobody may write to is published all the same (Fedora's / is 0555)."""
    tree = _tree(store)
    os.chmod(tree, 0o555)
    published = store.snapshots.publish(tree, CHAIN)
    assert os.stat(published).st_mode & 0o777 == 0o555
    os.chmod(published, 0o755)


def test_second_publisher_gets_the_first_tree(tmp_path: Path) -> None:
    """When two builds make the same snapshot, the first stays and the second's tree goes to the trash."""
    with Store.open(tmp_path / "s") as one, Store.open(tmp_path / "s") as two:
        first = one.snapshots.publish(_tree(one, content=b"1"), CHAIN)
        assert two.snapshots.publish(_tree(two, content=b"2"), CHAIN) == first
        assert (first / "file").read_bytes() == b"1"
        assert len(two.trash()) == 1


def test_publishing_at_once_is_safe(store: Store) -> None:
    """Many threads that publish the same chain all get the same whole tree."""
    trees = [_tree(store) for _ in range(8)]
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda tree=tree: found.append(store.snapshots.publish(tree, CHAIN))) for tree in trees
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [store.snapshots.find(CHAIN)] * 8
    assert (found[0] / "file").exists()


def test_snapshot_of_another_boot_is_not_trusted(store: Store) -> None:
    """A tree that was made before the machine restarted may not be whole on the disk: it is made anew."""
    published = store.snapshots.publish(_tree(store), CHAIN)
    (published.parent / "state").write_bytes(files.encode({"version": SNAPSHOT_VERSION, "boot": "another"}))
    assert store.snapshots.find(CHAIN) is None
    assert not published.exists()
    again = store.snapshots.publish(_tree(store), CHAIN)
    assert store.snapshots.find(CHAIN) == again


def test_settled_snapshot_outlives_the_boot(store: Store) -> None:
    """A tree that is known to be on the disk is trusted after a restart."""
    published = store.snapshots.publish(_tree(store), CHAIN)
    store.snapshots.settle()
    assert b"settled" in (published.parent / "state").read_bytes()
    assert store.snapshots.find(CHAIN) == published


def test_snapshot_without_state_is_not_trusted(store: Store) -> None:
    """A tree whose state is missing or damaged is made anew."""
    published = store.snapshots.publish(_tree(store), CHAIN)
    (published.parent / "state").write_bytes(b"\0\0")
    assert store.snapshots.find(CHAIN) is None


def test_half_a_snapshot_in_the_way_is_cleared(store: Store) -> None:
    """A directory under the chain's name that is no snapshot does not hinder publishing."""
    (store.root / "pybuild" / "snapshots" / CHAIN.hex / "odd").mkdir(parents=True)
    assert store.snapshots.find(CHAIN) is None
    assert store.snapshots.publish(_tree(store), CHAIN) == store.snapshots.find(CHAIN)


def test_discard_takes_scratch_tree_and_snapshot(store: Store) -> None:
    """Whatever way a tree is named, discarding it moves all of it to the trash."""
    store.snapshots.discard(_tree(store))
    store.snapshots.discard(_tree(store).parent)
    store.snapshots.discard(store.snapshots.publish(_tree(store), CHAIN))
    assert store.snapshots.find(CHAIN) is None
    assert len(store.trash()) == 3


def test_strange_directory_is_refused(store: Store, tmp_path: Path) -> None:
    """Only what was made in a scratch can be published."""
    (tmp_path / "d").mkdir()
    with pytest.raises(ValueError, match="not in a scratch"):
        store.snapshots.publish(tmp_path / "d", CHAIN)


def test_missing_tree_is_plain(store: Store) -> None:
    """Publishing a scratch without a tree is a StoreError."""
    with pytest.raises(StoreError, match="snapshot"):
        store.snapshots.publish(store.snapshots.scratch(), CHAIN)


def test_settling_is_no_use(store: Store) -> None:
    """A settled snapshot is as old as it was, and what its state says of the tree stays."""
    state = store.snapshots.publish(_tree(store), CHAIN, DiffId.of(b"layer")).parent / "state"
    os.utime(state, ns=(5, 5))
    before = files.decode(state.read_bytes())
    store.snapshots.settle()
    assert state.stat().st_mtime_ns == 5
    assert files.decode(state.read_bytes()) == {**before, "boot": "settled"}
    assert before["layer"] == str(DiffId.of(b"layer"))


def test_settling_beside_who_removes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot that goes away while the disk is waited for is no error."""
    published = store.snapshots.publish(_tree(store), CHAIN)
    monkeypatch.setattr("builder.kernel.syscalls.syncfs", lambda _: store.snapshots.discard(published))
    assert store.snapshots.settle() == 1
    assert store.snapshots.find(CHAIN) is None


def test_the_room_that_its_maker_has_counted(store: Store) -> None:
    """Who made a tree may say how much room it takes; the layer's index is then not read for it."""
    made = store.snapshots.publish(_tree(store), CHAIN, DiffId.of(b"a layer without an index"), 12_288)
    assert Documents(store.root).snapshot(made.parent.name, made.parent.stat()).size.size_bytes == 12_288
