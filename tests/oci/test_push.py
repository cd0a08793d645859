"""Whole images into registries: a real one, and one that misbehaves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from builder.oci.layout import blobs_of
from builder.oci.listing import Listing
from builder.oci.manifest import write_index
from builder.oci.push import Amount, Watch, push_image, push_listing
from builder.oci.registry import RegistrySource
from builder.oci.source import ignore_progress
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.image import MEDIA_INDEX, MEDIA_LAYER_GZIP, Descriptor, Image
from builder.values.reference import Reference
from tests.oci.images import AMD64, ARM64, Sample, sample


@dataclass
class Blobs:
    """A sample's blobs in a directory, and which of them were asked for."""

    directory: Path
    asked: list[Digest] = field(default_factory=list)

    def path(self, digest: Digest) -> Path:
        """A blob's file."""
        self.asked.append(digest)
        return self.directory / digest.hex


@pytest.fixture
def made() -> Sample:
    """An image with two layers."""
    return sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER_GZIP))


@pytest.fixture
def blobs(tmp_path: Path, made: Sample) -> Blobs:
    """Its blobs on the disk."""
    made.write_blobs(tmp_path / "blobs")
    return Blobs(tmp_path / "blobs")


def names(*texts: str) -> tuple[Reference, ...]:
    """Names as people write them."""
    return tuple(Reference.parse(text) for text in texts)


def size_of(image: Image) -> int:
    """Config and layers."""
    return image.config_descriptor.size + sum(layer.descriptor.size for layer in image.layers)


def test_what_is_pushed_can_be_pulled(registry: str, tmp_path: Path, made: Sample, blobs: Blobs) -> None:
    """The same image and the same bytes come back, under each of the tags."""
    pushed = push_image(made.image, blobs.path, names(f"{registry}/push:1", f"{registry}/push:2"), Access())
    assert pushed.digest == made.image.manifest.digest
    assert pushed.size == size_of(made.image)
    for tag in ("1", "2"):
        source = RegistrySource(f"{registry}/push:{tag}")
        assert source.load(AMD64) == made.image
        for number, layer in enumerate(made.image.layers):
            source.fetch(layer.descriptor, tmp_path / "layer", ignore_progress)
            assert (tmp_path / "layer").read_bytes() == made.layer_bytes(number)


def test_what_is_there_is_not_sent_again(registry: str, made: Sample, blobs: Blobs) -> None:
    """The second push sends no blob and needs none on the disk but the manifest."""
    first = push_image(made.image, blobs.path, names(f"{registry}/twice:1"), Access())
    everything = Amount(3, size_of(made.image))
    assert (first.sent, first.there) == (everything, Amount())
    again = Blobs(blobs.directory)
    second = push_image(made.image, again.path, names(f"{registry}/twice:2"), Access())
    assert (second.sent, second.there) == (Amount(), everything)
    assert again.asked == [made.image.manifest.digest]


def test_layers_of_another_repository_are_mounted(registry: str, made: Sample, blobs: Blobs) -> None:
    """Where an origin has a blob, it is neither sent nor looked for on the disk: a base need not be fetched."""
    push_image(made.image, blobs.path, names(f"{registry}/base:1"), Access())
    layer = made.image.layers[0].descriptor
    (blobs.directory / layer.digest.hex).unlink()
    watch = Watch(origins=lambda blob: names(f"{registry}/base:1") if blob.digest == layer.digest else ())
    pushed = push_image(made.image, Blobs(blobs.directory).path, names(f"{registry}/mounted:1"), Access(), watch)
    assert pushed.mounted == Amount(1, layer.size)
    assert pushed.sent == Amount(2, size_of(made.image) - layer.size)
    assert RegistrySource(f"{registry}/mounted:1").load(AMD64) == made.image


def test_an_index_is_pushed_with_all_that_it_leads_to(registry: str, tmp_path: Path) -> None:
    """The images of both platforms can be pulled by the index's tag, and each by its own digest."""
    both = (sample(AMD64), sample(ARM64))
    for each in both:
        each.write_blobs(tmp_path)
    points = [replace(each.image.manifest, platform=each.image.config.platform) for each in both]
    data = write_index(points)
    root = Descriptor(MEDIA_INDEX, Digest.of(data), len(data))
    documents = [(each.image.manifest, each.blobs[each.image.manifest.digest]) for each in both]
    every = [blob for each in both for blob in blobs_of(each.image) if blob.digest != each.image.manifest.digest]
    listing = Listing(root, (*documents, (root, data)), tuple({blob.digest: blob for blob in every}.values()))
    pushed = push_listing(listing, lambda digest: tmp_path / digest.hex, names(f"{registry}/many:1"), Access())
    assert pushed.digest == root.digest
    for each in both:
        assert RegistrySource(f"{registry}/many:1").load(each.image.config.platform) == each.image
        assert RegistrySource(f"{registry}/many@{each.image.manifest.digest}").load(AMD64) == each.image
