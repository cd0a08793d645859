"""An index with all that it leads to: every manifest byte by byte, and every blob. For copies of all platforms.

What the manifests describe is not asked here: attestations and other artifacts that stand in an index go with it.
Source: OCI image-spec, image-index.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from builder.declare import dataclass, replace
from builder.errors import ImageError
from builder.oci.document import parse_document
from builder.oci.manifest import INDEX_TYPES, MAX_LAYERS, kind_of, read_descriptor, read_index
from builder.oci.source import ImageSource, ReadDocument, named, too_deep
from builder.tree import bounds
from builder.values.digest import Digest
from builder.values.image import Descriptor
from builder.values.platform import Platform

MAX_DOCUMENTS = 1000
MAX_TOTAL_BYTES = 64 << 20


@runtime_checkable
class ListedSource(ImageSource, Protocol):
    """A source whose name may lead to an index, which can be had as it is."""

    def root(self, platform: Platform) -> Descriptor:
        """What the name points at; where it points at several things, that for `platform`. Raises ImageError."""

    def read(self, descriptor: Descriptor) -> bytes:
        """A manifest or an index, verified. Raises ImageError."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a name points at. `documents` are all manifests and indexes, what points after what it points at, the root
    last; `blobs` are all configs and layers, each once.
    """

    root: Descriptor
    documents: tuple[tuple[Descriptor, bytes], ...]
    blobs: tuple[Descriptor, ...]

    @property
    def everything(self) -> tuple[Descriptor, ...]:
        """The blobs, then the documents."""
        return (*self.blobs, *(descriptor for descriptor, _ in self.documents))


def listing_of(name: str, root: Descriptor, read: ReadDocument) -> Listing:
    """Walk everything below `root`. Raises ImageError: unreadable, too much, too deep, or layers that lie elsewhere."""
    walk = _Walk(read)
    try:
        found = walk.visit(root, 0)
    except ImageError as error:
        raise named(error, name) from error
    return Listing(found, tuple(walk.documents.values()), tuple(walk.blobs.values()))


class _Walk:
    def __init__(self, read: ReadDocument) -> None:
        self._read = read
        self._total_bytes = 0
        self._count = 0
        self.documents: dict[Digest, tuple[Descriptor, bytes]] = {}
        self.blobs: dict[Digest, Descriptor] = {}

    def visit(self, at: Descriptor, depth: int) -> Descriptor:
        """Take in a document and what is below it, that first; its descriptor with the media type that it has."""
        if at.digest in self.documents:
            return self.documents[at.digest][0]
        self._bound(at, depth)
        data = self._read(at)
        media_type = kind_of(data, at.media_type, "a manifest of the image")
        if media_type in INDEX_TYPES:
            for entry in read_index(data):
                self.visit(entry, depth + 1)
        else:
            self.blobs.update((blob.digest, blob) for blob in _blobs(data))
        found = replace(at, media_type=media_type)
        self.documents[at.digest] = (found, data)
        return found

    def _bound(self, at: Descriptor, depth: int) -> None:
        self._count += 1
        self._total_bytes += at.size
        if depth > bounds.limits().index_depth:
            raise too_deep()
        if self._count > MAX_DOCUMENTS or self._total_bytes > MAX_TOTAL_BYTES:
            raise ImageError(
                f"its index leads to more than {MAX_DOCUMENTS} manifests, or {MAX_TOTAL_BYTES >> 20} MiB of them",
                hint="copy one platform of it: --platform instead of --all",
            )


def _blobs(data: bytes) -> Iterator[Descriptor]:
    document = parse_document(data, "a manifest of the image")
    config = document.inner("config")
    if config is not None:
        yield read_descriptor(config)
    for layer in document.inners("layers", MAX_LAYERS):
        descriptor = read_descriptor(layer)
        if "nondistributable" in descriptor.media_type or ".foreign." in descriptor.media_type:
            raise ImageError(
                f"layer {descriptor.digest} is a foreign layer, which lies outside of its registry and is refused",
                hint="such layers are Windows base images; copy one platform of it: --platform instead of --all",
            )
        yield descriptor
