"""Layer records and layer indexes."""

from __future__ import annotations

import os

import pytest

from builder.errors import StoreError
from builder.store import Store
from builder.values.digest import DiffId
from builder.values.image import MEDIA_LAYER_GZIP, Descriptor
from builder.values.record import LayerRecord


def _layer(store: Store, data: bytes = b"blob") -> LayerRecord:
    record = LayerRecord(DiffId.of(data), Descriptor(MEDIA_LAYER_GZIP, store.blobs.put(data), len(data)))
    store.layers.put(record)
    return record


def test_record_comes_back(store: Store) -> None:
    """A layer is found by its diff-id."""
    record = _layer(store)
    assert store.layers.find(record.diff_id) == record
    assert store.layers.find(DiffId.of(b"other")) is None


def test_layer_without_blob_is_not_found(store: Store) -> None:
    """A record whose blob is gone finds nothing."""
    record = _layer(store)
    os.unlink(store.blobs.path(record.descriptor.digest))
    assert store.layers.find(record.diff_id) is None


def test_layer_with_a_short_blob_is_not_found(store: Store) -> None:
    """A record whose blob was cut short finds nothing."""
    record = _layer(store)
    os.chmod(store.blobs.path(record.descriptor.digest), 0o600)
    os.truncate(store.blobs.path(record.descriptor.digest), 1)
    assert store.layers.find(record.diff_id) is None


def test_record_under_another_name_is_not_found(store: Store) -> None:
    """A record that was copied to another layer's name is not believed."""
    record = _layer(store)
    folder = store.root / "pybuild" / "layers"
    other = DiffId.of(b"other")
    (folder / f"{other.hex}.json").write_bytes((folder / f"{record.diff_id.hex}.json").read_bytes())
    assert store.layers.find(other) is None
    assert not (folder / f"{other.hex}.json").exists()


def test_index_is_adopted(store: Store) -> None:
    """An index has its name once it is adopted, and none after it was discarded."""
    diff_id = DiffId.of(b"x")
    assert not store.layers.has_index(diff_id)
    temporary = store.blobs.temporary()
    temporary.write_bytes(b"{}\n")
    store.layers.adopt_index(temporary, diff_id)
    assert store.layers.has_index(diff_id)
    assert store.layers.index_path(diff_id).read_bytes() == b"{}\n"
    store.layers.discard_index(diff_id)
    assert not store.layers.has_index(diff_id)


def test_missing_index_file_is_plain(store: Store) -> None:
    """Adopting an index that was not written is a StoreError."""
    with pytest.raises(StoreError, match="layer index"):
        store.layers.adopt_index(store.blobs.temporary(), DiffId.of(b"x"))
