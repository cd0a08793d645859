"""The walk from a descriptor to an image."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from builder.errors import ImageError
from builder.oci.manifest import write_config, write_index, write_manifest
from builder.oci.source import Documents, load_image, named
from builder.tree import bounds
from builder.values.digest import Digest
from builder.values.image import MEDIA_CONFIG, MEDIA_INDEX, MEDIA_MANIFEST, Descriptor
from tests.oci.images import AMD64, ARM64, sample


def reader(blobs: dict[Digest, bytes]) -> Callable[[Descriptor], bytes]:
    """A source's way to read, from a dictionary."""
    return lambda descriptor: blobs[descriptor.digest]


def index_over(*entries: Descriptor) -> tuple[Descriptor, dict[Digest, bytes]]:
    """An index and its blob."""
    data = write_index(entries)
    return Descriptor(MEDIA_INDEX, Digest.of(data), len(data)), {Digest.of(data): data}


def test_an_image_is_found_through_an_index() -> None:
    """The platform decides between the entries."""
    one, other = sample(AMD64), sample(ARM64)
    entries = [
        Descriptor(made.image.manifest.media_type, made.image.manifest.digest, made.image.manifest.size, (), platform)
        for made, platform in ((one, AMD64), (other, ARM64))
    ]
    top, blobs = index_over(*entries)
    assert load_image("app:1", top, reader({**blobs, **one.blobs, **other.blobs}), ARM64) == other.image


def test_indexes_nest_four_deep_and_no_deeper() -> None:
    """Depth is somebody else's choice, so it has a limit."""
    made = sample()
    at, blobs = made.image.manifest, dict(made.blobs)
    for _ in range(bounds.limits().index_depth):
        at, more = index_over(at)
        blobs.update(more)
    assert load_image("app:1", at, reader(blobs), AMD64) == made.image
    at, more = index_over(at)
    with pytest.raises(ImageError, match=r"app:1: .* nested more than 4 deep"):
        load_image("app:1", at, reader({**blobs, **more}), AMD64)


def test_an_index_that_points_at_itself_is_refused() -> None:
    """A source that does not verify digests could serve one; the walk notices."""
    at = Descriptor(MEDIA_INDEX, Digest("a" * 64), 1)
    with pytest.raises(ImageError, match="points at itself"):
        load_image("app:1", at, lambda _: write_index([at]), AMD64)


def test_manifest_and_config_must_agree_about_the_layers() -> None:
    """A config with fewer diff-ids than the manifest has layers is damage."""
    made = sample()
    config = write_config(sample(media_types=()).image.config)
    point = Descriptor(MEDIA_CONFIG, Digest.of(config), len(config))
    data = write_manifest(point, [layer.descriptor for layer in made.image.layers])
    manifest = Descriptor(MEDIA_MANIFEST, Digest.of(data), len(data))
    with pytest.raises(ImageError, match="its manifest has 3 layers, its config 0"):
        load_image("app:1", manifest, reader({point.digest: config, manifest.digest: data}), AMD64)


def test_documents_are_read_once_and_kept() -> None:
    """What was read is remembered, so that it can be put beside the layers."""
    made = sample()
    asked: list[Digest] = []

    def read(descriptor: Descriptor) -> bytes:
        asked.append(descriptor.digest)
        return made.blobs[descriptor.digest]

    documents = Documents()
    for _ in range(2):
        assert load_image("app:1", made.image.manifest, documents.reader(read), AMD64) == made.image
    assert len(asked) == 2
    assert documents.of(made.image) == tuple(
        (digest, made.blobs[digest]) for digest in (made.image.manifest.digest, made.image.config_descriptor.digest)
    )


def test_an_error_gets_the_images_name_once() -> None:
    """The name stands in front, unless it is there already."""
    once = named(ImageError("it broke", hint="mend it"), "app:1")
    assert (once.message, once.hint) == ("app:1: it broke", "mend it")
    assert named(once, "app:1").message == once.message
