"""Images of the store as sources."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import ImageError, StoreError
from builder.oci.source import ignore_progress
from builder.oci.stored import StoredSource
from builder.store import Store
from tests.oci.images import AMD64, Sample, sample


def stored(store: Store, made: Sample) -> StoredSource:
    """The sample, put into the store."""
    for data in made.blobs.values():
        store.blobs.put(data)
    return StoredSource("app:1", made.image.manifest, store)


def test_what_the_store_has_reads_back(tmp_path: Path) -> None:
    """The image, its documents, and its layers."""
    made = sample()
    with Store.open(tmp_path / "store") as store:
        source = stored(store, made)
        image = source.load(AMD64)
        assert image == made.image
        assert source.root(AMD64) == made.image.manifest
        assert dict(source.documents(image)) == {
            point.digest: made.blobs[point.digest] for point in (image.manifest, image.config_descriptor)
        }
        source.fetch(image.layers[0].descriptor, tmp_path / "out", ignore_progress)
    assert (tmp_path / "out").read_bytes() == made.layer_bytes()


def test_damage_is_found(tmp_path: Path) -> None:
    """A layer or a manifest that the disk has changed is not passed on."""
    made = sample()
    with Store.open(tmp_path / "store") as store:
        source = stored(store, made)
        layer = made.image.layers[0].descriptor
        for digest in (layer.digest, made.image.manifest.digest):
            path = store.blobs.path(digest)
            os.chmod(path, 0o644)
            path.write_bytes(bytes(len(path.read_bytes())))
        with pytest.raises(ImageError, match="is damaged"):
            source.fetch(layer, tmp_path / "out", ignore_progress)
        assert not (tmp_path / "out").exists()
        with pytest.raises(StoreError, match="was damaged"):
            source.load(AMD64)


def test_a_blob_that_is_gone_is_told(tmp_path: Path) -> None:
    """With what to do about it."""
    made = sample()
    with Store.open(tmp_path / "store") as store:
        source = stored(store, made)
        layer = made.image.layers[0].descriptor
        store.blobs.discard(layer.digest)
        with pytest.raises(StoreError, match=f"app:1 is not whole: blob {layer.digest} is missing"):
            source.fetch(layer, tmp_path / "out", ignore_progress)
