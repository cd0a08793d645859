"""Layers in other compressions, remembered."""

from __future__ import annotations

import json

from builder.store import Store
from builder.values.digest import DiffId
from builder.values.image import MEDIA_LAYER_ZSTD, Descriptor

DIFF_ID = DiffId("d" * 64)


def _kept(store: Store, data: bytes = b"blob") -> Descriptor:
    return Descriptor(MEDIA_LAYER_ZSTD, store.blobs.put(data), len(data))


def test_what_is_remembered_is_found(store: Store) -> None:
    """A variant is found by the layer and the recipe, and by nothing else."""
    made = _kept(store)
    store.variants.put(DIFF_ID, "zstd", made)
    assert store.variants.find(DIFF_ID, "zstd") == made
    assert store.variants.find(DIFF_ID, "zstd-9") is None and store.variants.find(DiffId("e" * 64), "zstd") is None


def test_a_record_without_its_blob_leads_nowhere(store: Store) -> None:
    """Once the blob is gone or cut short, the record goes too."""
    made = _kept(store)
    store.variants.put(DIFF_ID, "zstd", made)
    path = store.blobs.path(made.digest)
    path.chmod(0o600)
    path.write_bytes(b"b")
    assert store.variants.find(DIFF_ID, "zstd") is None
    assert list((store.root / "pybuild/variants").iterdir()) == []


def test_a_damaged_record_is_none(store: Store) -> None:
    """What cannot be understood is not found."""
    store.variants.put(DIFF_ID, "gzip-9", _kept(store))
    (path,) = (store.root / "pybuild/variants").iterdir()
    path.write_text(json.dumps({"version": 1, "descriptor": {"size": "x"}}))
    assert store.variants.find(DIFF_ID, "gzip-9") is None and not path.exists()
