"""Indexes with all that they lead to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builder.errors import ImageError
from builder.oci.listing import MAX_DOCUMENTS, Listing, listing_of
from builder.oci.manifest import write_index
from builder.values.digest import Digest
from builder.values.image import DOCKER_LIST, MEDIA_INDEX, MEDIA_MANIFEST, Descriptor
from tests.oci.images import AMD64, ARM64, as_json, sample


class Library:
    """Documents by their digests."""

    def __init__(self) -> None:
        self.data: dict[Digest, bytes] = {}

    def put(self, data: bytes, media_type: str) -> Descriptor:
        """A document's descriptor."""
        self.data[Digest.of(data)] = data
        return Descriptor(media_type, Digest.of(data), len(data))

    def walk(self, root: Descriptor) -> Listing:
        """What is below `root`."""
        return listing_of("app", root, lambda descriptor: self.data[descriptor.digest])


def test_every_platform_and_every_blob_is_listed_once() -> None:
    """Children before the index, blobs that two images share once, and attestations with them."""
    library = Library()
    images = [sample(AMD64), sample(ARM64), sample(AMD64)]
    for made in images:
        library.data |= made.blobs
    note = library.put(b"{}", "application/vnd.in-toto+json")
    config = library.put(as_json({"architecture": "unknown"}), "application/vnd.oci.image.config.v1+json")
    field = {"mediaType": note.media_type, "digest": str(note.digest), "size": note.size}
    attested = as_json(
        {
            "schemaVersion": 2,
            "mediaType": MEDIA_MANIFEST,
            "config": {"mediaType": config.media_type, "digest": str(config.digest), "size": config.size},
            "layers": [field],
        }
    )
    entries = [made.image.manifest for made in images] + [library.put(attested, MEDIA_MANIFEST)]
    root = library.put(write_index(entries), MEDIA_INDEX)
    listing = library.walk(replace(root, media_type=""))
    assert listing.root == root
    assert [point.digest for point, _ in listing.documents] == [*dict.fromkeys(e.digest for e in entries), root.digest]
    assert len({blob.digest for blob in listing.blobs}) == len(listing.blobs) == 4 + 4 + 2
    assert all(Digest.of(data) == point.digest for point, data in listing.documents)


def test_a_single_manifest_is_a_listing_too() -> None:
    """Of one document."""
    library, made = Library(), sample()
    library.data |= made.blobs
    assert library.walk(made.image.manifest).documents[0][0].digest == made.image.manifest.digest


def test_indexes_of_docker_and_indexes_in_indexes() -> None:
    """Both are walked, and keep their types."""
    library, made = Library(), sample()
    library.data |= made.blobs
    inner = write_index([made.image.manifest]).replace(MEDIA_INDEX.encode(), DOCKER_LIST.encode())
    root = library.put(write_index([library.put(inner, DOCKER_LIST)]), MEDIA_INDEX)
    kinds = [point.media_type for point, _ in library.walk(root).documents]
    assert kinds == [MEDIA_MANIFEST, DOCKER_LIST, MEDIA_INDEX]


def test_what_is_too_deep_or_too_much_is_refused() -> None:
    """Bounded in depth, in documents, and in bytes."""
    library, made = Library(), sample()
    library.data |= made.blobs
    root = made.image.manifest
    for _ in range(6):
        root = library.put(write_index([root]), MEDIA_INDEX)
    with pytest.raises(ImageError, match=r"app: .*nested"):
        library.walk(root)
    many = [replace(made.image.manifest, digest=Digest(f"{n:064x}")) for n in range(MAX_DOCUMENTS + 1)]
    for entry in many:
        library.data[entry.digest] = made.blobs[made.image.manifest.digest]
    with pytest.raises(ImageError, match="more than 1000 manifests"):
        library.walk(library.put(write_index(many), MEDIA_INDEX))
    large = [replace(entry, size=7 << 20) for entry in many[:11]]
    with pytest.raises(ImageError, match="64 MiB"):
        library.walk(library.put(write_index(large), MEDIA_INDEX))


def test_foreign_layers_are_refused() -> None:
    """They lie elsewhere, at a URL that the manifest names."""
    library, made = Library(), sample()
    data = made.blobs[made.image.manifest.digest].replace(b"layer.v1.tar+gzip", b"layer.nondistributable.v1.tar+gzip")
    with pytest.raises(ImageError, match="foreign layer"):
        library.walk(library.put(data, MEDIA_MANIFEST))
