"""Blobs of the store's images, of which the store lacks some."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.oci.destination import ToLayout, ToStore
from builder.oci.source import ignore_progress
from builder.stages.carry import Means, Wish, carry
from builder.stages.stock import Origins, Stock, StockedSource
from builder.store import Store
from builder.values.access import Access
from builder.values.image import MEDIA_LAYER_GZIP
from builder.values.reference import Reference
from tests.oci.images import AMD64, ARM64, Sample, sample
from tests.oci.rogue import Rogue, running_rogue
from tests.stages.builds import Bench


@pytest.fixture
def store(bench: Bench) -> Iterator[Store]:
    """An open store."""
    with Store.open(bench.root) as opened:
        yield opened


@pytest.fixture
def rogue() -> Iterator[Rogue]:
    """A registry."""
    with running_rogue() as server:
        yield server


@pytest.fixture
def lacking(store: Store, rogue: Rogue) -> Sample:
    """An image that was pulled as app:1, and whose upper layer the store has lost."""
    made = sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER_GZIP))
    rogue.serve("app", made)
    for data in made.blobs.values():
        store.blobs.put(data)
    store.pulled.put(Reference.parse(f"{rogue.address}/app:1"), AMD64, made.image.manifest)
    store.blobs.discard(made.image.layers[1].descriptor.digest)
    return made


def stocked(store: Store, made: Sample) -> StockedSource:
    """The image as a source."""
    stock = Stock((), store, Access(), lambda _: None)
    return StockedSource("app:1", made.image.manifest, store, stock)


def test_a_file_that_is_missing_is_fetched_into_the_store(store: Store, lacking: Sample) -> None:
    """From where the image was pulled; what is here is not asked for."""
    stock = Stock([layer.descriptor for layer in lacking.image.layers], store, Access(), lambda _: None)
    for layer in lacking.image.layers:
        assert stock.path(layer.descriptor.digest).read_bytes() == lacking.blobs[layer.descriptor.digest]


def test_a_copy_takes_what_is_missing_from_elsewhere(
    store: Store, rogue: Rogue, lacking: Sample, tmp_path: Path
) -> None:
    """Out of the store, where nothing is put into it for that."""
    source, lost = stocked(store, lacking), lacking.image.layers[1].descriptor
    carry(source, ToLayout(tmp_path / "layout", "1"), Wish(AMD64), Means(store, lambda _: None))
    assert (tmp_path / "layout/blobs/sha256" / lost.digest.hex).read_bytes() == lacking.blobs[lost.digest]
    assert not store.blobs.has(lost.digest)
    assert [path for path, _ in rogue.requests] == [f"/v2/app/blobs/{lost.digest}"]


def test_a_copy_within_the_store_makes_it_whole(store: Store, lacking: Sample) -> None:
    """Under its new name an image lacks nothing."""
    source, lost = stocked(store, lacking), lacking.image.layers[1].descriptor
    carry(source, ToStore(Reference.parse("new:1")), Wish(AMD64), Means(store, lambda _: None))
    assert store.blobs.has(lost.digest)


def test_a_blob_that_is_nowhere_is_told(store: Store, rogue: Rogue, lacking: Sample, tmp_path: Path) -> None:
    """When no image that was pulled has it."""
    other = sample(ARM64)
    with pytest.raises(StoreError, match="is missing from the store"):
        stocked(store, lacking).fetch(other.image.layers[0].descriptor, tmp_path / "out", ignore_progress)
    assert rogue.requests == []


def test_damaged_memories_of_pulls_only_help_less(store: Store, lacking: Sample) -> None:
    """A remembered image whose manifest is gone has no blobs to mount from."""
    store.blobs.discard(lacking.image.manifest.digest)
    assert Origins(store).of(lacking.image.layers[0].descriptor) == ()


def test_a_plain_name_leads_nowhere(store: Store, lacking: Sample) -> None:
    """An image that is called `app` here is not Docker Hub's, which is not asked for it; one with a registry may be."""
    layer = lacking.image.layers[0].descriptor
    pulled = Origins(store).of(layer)
    store.images.tag(Reference.parse("app:1"), lacking.image.manifest)
    assert Origins(store).of(layer) == pulled
    store.images.tag(Reference.parse("reg.test/app:1"), lacking.image.manifest)
    assert Origins(store).of(layer) == (*pulled, Reference.parse("reg.test/app:1"))
