"""What each named image holds in the store: its blobs, and how many bytes of them it shares with other images.

Bytes are those of blobs as they are stored. An image is a manifest: two names of one are not two images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from builder.declare import dataclass
from builder.errors import PybuildError
from builder.oci.manifest import INDEX_TYPES, read_config, read_index, read_manifest
from builder.store.promised import promised
from builder.store.store import Store
from builder.tree import bounds
from builder.values.digest import Digest
from builder.values.image import Descriptor
from builder.values.platform import Platform
from builder.values.record import TaggedImage


@dataclass(frozen=True, slots=True)
class Sized:
    """A named image. `platforms` are those that the store has it for: one, or of an index any number.

    `shared_bytes` are in blobs that other named images hold too, `unique_bytes` in those that none does.
    """

    image: TaggedImage
    platforms: tuple[Platform, ...] = ()
    created: str = ""
    damaged: bool = False
    shared_bytes: int = 0
    unique_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """All of its blobs, each once; layers that a registry keeps for us are among them."""
        return self.shared_bytes + self.unique_bytes


@dataclass(frozen=True, slots=True)
class _Contents:
    """What a manifest or an index leads to. Blobs by digest, with their sizes."""

    blobs: dict[Digest, int]
    platforms: tuple[Platform, ...] = ()
    created: str = ""
    damaged: bool = False


def sized_images(store: Store) -> list[Sized]:
    """All named images in the order of the store. A damaged one is among them; of it what can be read counts.

    Raises StoreError where the names themselves cannot be read.
    """
    named = store.images.all()
    contents = {
        each.digest: _contents(store, each)
        for each in {image.manifest.digest: image.manifest for image in named}.values()
    }
    holders = Counter(blob for held in contents.values() for blob in held.blobs)
    return [_sized(image, contents[image.manifest.digest], holders) for image in named]


def _sized(image: TaggedImage, held: _Contents, holders: Counter[Digest]) -> Sized:
    shared = sum(size for blob, size in held.blobs.items() if holders[blob] > 1)
    unique = sum(held.blobs.values()) - shared
    return Sized(image, held.platforms, held.created, held.damaged, shared, unique)


def _contents(store: Store, manifest: Descriptor) -> _Contents:
    try:
        if manifest.media_type in INDEX_TYPES:
            return _of_index(store, manifest)
        return _of_manifest(store, manifest)
    except PybuildError:
        return _Contents({}, damaged=True)


def _of_manifest(store: Store, descriptor: Descriptor) -> _Contents:
    manifest = read_manifest(_document(store, descriptor), descriptor.media_type)
    config = read_config(_document(store, manifest.config))
    points = (descriptor, manifest.config, *manifest.layers)
    blobs = {point.digest: point.size for point in points}
    lacking = {layer.digest for layer in manifest.layers if not store.blobs.has(layer.digest)}
    lost = bool(lacking) and not lacking <= promised(store)
    return _Contents(blobs, (config.platform,), config.created, lost)


def _of_index(store: Store, descriptor: Descriptor) -> _Contents:
    """An index with those of its images that the store has; a registry's other platforms need not be here."""
    blobs = {descriptor.digest: descriptor.size}
    platforms: list[Platform] = []
    created = ""
    damaged = False
    for held, wanted in _images(store, descriptor):
        blobs |= held.blobs
        damaged = damaged or held.damaged
        if wanted:
            platforms += held.platforms
            created = created or held.created
    return _Contents(blobs, tuple(platforms), created, damaged)


def _images(store: Store, index: Descriptor) -> Iterator[tuple[_Contents, bool]]:
    """What is here of an index's images, and whether it is one (and not an attestation about one)."""
    for entry in read_index(_document(store, index)):
        if not store.blobs.has(entry.digest):
            continue
        about = entry.platform is not None and entry.platform.os == "unknown"
        if about:
            yield _Contents({entry.digest: entry.size}), False
        else:
            yield _contents(store, entry), True


def _document(store: Store, descriptor: Descriptor) -> bytes:
    return store.blobs.read(descriptor.digest, bounds.limits().document_bytes)
