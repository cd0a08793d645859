"""Layers that are borrowed: fetched when they are needed, given back at the end."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from builder.errors import ImageError, StoreError
from builder.stages.borrow import Borrowed
from builder.stages.images import FoundImage
from builder.store import Store
from builder.values.event import Event, Transfer
from builder.values.stack import Stack
from tests.stages.builds import Bench
from tests.stages.looked import files_below, outside


def _nobody(_: Event) -> None:
    """Nobody wants to know."""


def test_nothing_stays_where_there_is_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a store all is done in a temporary directory, which is gone at the end."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    found, source = outside(tmp_path / "layout")
    with Borrowed(None, _nobody) as borrowed:
        borrowed.learn(found)
        view = borrowed.view(Stack.of(found.image.layers))
        held = borrowed.ensure(found.image.layers[0])
        with borrowed.reading(held) as blob:
            assert blob.stat().st_size == held.descriptor.size
        assert (tmp_path / "temporary") in blob.parents
    assert view.children(b"opt") == [b"new"]
    assert len(source.fetched) == 2
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_store_keeps_only_indexes(tmp_path: Path) -> None:
    """In a store no blob of what was looked at stays; its indexes do, and with them nothing is fetched again."""
    found, source = outside(tmp_path / "layout")
    with Store.open(tmp_path / "store"):
        before = files_below(tmp_path / "store")
    for _ in range(2):
        with Store.open(tmp_path / "store") as store, Borrowed(store, _nobody) as borrowed:
            borrowed.learn(found)
            borrowed.view(Stack.of(found.image.layers))
    added = set(files_below(tmp_path / "store")) - set(before)
    assert added == {f"pybuild/indexes/{layer.diff_id.hex}" for layer in found.image.layers}
    assert len(source.fetched) == 2


def test_what_the_store_has_is_not_fetched(bench: Bench) -> None:
    """A layer that a build has brought into the store is taken from there, whoever asks for it by its diff-id."""
    found, source = outside(bench.room / "layout")
    bench.file("hello", "hello")
    bench.build(f"FROM oci:{bench.room / 'layout'}:latest\nCOPY hello /hello\n")
    with Store.open(bench.root) as store, Borrowed(store, _nobody) as borrowed:
        borrowed.learn(found)
        assert borrowed.view(Stack.of(found.image.layers)).children(b"opt") == [b"new"]
        borrowed.ensure(found.image.layers[0])
    assert source.fetched == []


def test_a_damaged_index_is_made_anew(tmp_path: Path) -> None:
    """An index in the store that cannot be read is no reason to fail where the layer can be had from outside."""
    found, source = outside(tmp_path / "layout")
    with Store.open(tmp_path / "store") as store, Borrowed(store, _nobody) as borrowed:
        borrowed.learn(found)
        borrowed.index(found.image.layers[0])
        path = store.layers.index_path(found.image.layers[0].diff_id)
    path.write_bytes(b"{}")
    with Store.open(tmp_path / "store") as store, Borrowed(store, _nobody) as borrowed:
        borrowed.learn(found)
        assert borrowed.index(found.image.layers[0])
    assert len(source.fetched) == 2


def test_transfers_are_told(tmp_path: Path) -> None:
    """What is fetched is told up to its last byte."""
    found, _ = outside(tmp_path / "layout")
    events: list[Event] = []
    with Borrowed(None, events.append) as borrowed:
        borrowed.learn(found)
        held = borrowed.ensure(found.image.layers[1])
    size = held.descriptor.size
    assert events[-1] == Transfer("pull", held.descriptor.digest.hex[:12], size, size)


def test_a_layer_that_nobody_has(tmp_path: Path) -> None:
    """A layer that is neither in the store nor outside is missing, with or without a store."""
    found, _ = outside(tmp_path / "layout")
    with Borrowed(None, _nobody) as borrowed, pytest.raises(StoreError, match="missing"):
        borrowed.index(found.image.layers[0])
    with Store.open(tmp_path / "store") as store, Borrowed(store, _nobody) as borrowed:
        borrowed.learn(FoundImage(found.image, None))
        with pytest.raises(StoreError, match="missing"):
            borrowed.index(found.image.layers[0])


def test_a_damaged_layer_outside(tmp_path: Path) -> None:
    """A blob that is not what its digest says is refused, and leaves nothing in the store."""
    found, _ = outside(tmp_path / "layout")
    blob = tmp_path / "layout/blobs/sha256" / found.image.layers[0].descriptor.digest.hex
    blob.write_bytes(blob.read_bytes()[:-8] + b"damaged!")
    with Store.open(tmp_path / "store") as store:
        before = files_below(tmp_path / "store")
        with Borrowed(store, _nobody) as borrowed:
            borrowed.learn(found)
            with pytest.raises(ImageError):
                borrowed.view(Stack.of(found.image.layers[:1]))
    assert set(files_below(tmp_path / "store")) <= set(before)
