"""Pushing: images of the store into registries.

Where else a layer may be is known to the stock: in the same registry it is mounted from there, and one that the store
has no longer is fetched from there. So an image is pushed whole, whatever of it is here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from builder.errors import ImageError
from builder.oci.convert import as_docker, as_oci
from builder.oci.listing import listing_of
from builder.oci.manifest import INDEX_TYPES
from builder.oci.push import Pushed, Watch, push_listing
from builder.oci.source import ReadDocument, load_image
from builder.stages.arrivals import called
from builder.stages.images import build_platform
from builder.stages.stock import Stock
from builder.store.store import Store
from builder.tree import bounds
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.event import Emit, Note, Transfer
from builder.values.image import DOCKER_CONFIG, MEDIA_CONFIG, Descriptor
from builder.values.output import MediaTypes
from builder.values.reference import Reference

_CONFIGS = (MEDIA_CONFIG, DOCKER_CONFIG, "application/vnd.oci.empty.v1+json")
_REPORT_S = 0.1  # a transfer is told of this often; what shows it decides how much of that people see


def push_from_store(
    manifest: Descriptor, names: Sequence[Reference], store: Store, access: Access, emit: Emit
) -> Pushed:
    """Push what a manifest or index of the store leads to under all `names`, of any registries. Raises ImageError,
    StoreError.
    """
    listing = listing_of(str(manifest.digest), manifest, _reader(store))
    stock = Stock(listing.everything, store, access, emit)
    return push_listing(listing, stock.path, names, access, Watch(progress_of(emit), stock.origins.of))


def in_media_types(manifest: Descriptor, wanted: MediaTypes | None, store: Store, emit: Emit) -> Descriptor:
    """The same image under a manifest of these media types, in the store; itself where there is nothing to change.

    Raises ImageError for layers that Docker has no type for, and for an index; StoreError.
    """
    if wanted is None:
        return manifest
    if manifest.media_type in INDEX_TYPES:
        raise ImageError(
            f"{manifest.digest} is an index of several images, which is only pushed as it is",
            hint="leave the media types out",
        )
    image = load_image(str(manifest.digest), manifest, _reader(store), build_platform())
    converted = as_docker(image) if wanted is MediaTypes.DOCKER else as_oci(image)
    for _, data in converted.documents:
        store.blobs.put(data)
    if converted.dropped:
        emit(Note(f"Docker's manifest has no place for annotations; left out: {', '.join(converted.dropped)}"))
    return converted.image.manifest


def _reader(store: Store) -> ReadDocument:
    return lambda point: store.blobs.read(point.digest, bounds.limits().document_bytes)


def progress_of(emit: Emit) -> Callable[[Descriptor, int], None]:
    """Tells of the layers of a push as events: now and then, and when one is there. A config is small, and no layer."""
    told_s: dict[Digest, float] = {}

    def progress(blob: Descriptor, done: int) -> None:
        if blob.media_type in _CONFIGS:
            return
        now_s = time.monotonic()
        if done == blob.size or now_s - told_s.get(blob.digest, 0.0) >= _REPORT_S:
            told_s[blob.digest] = now_s
            emit(Transfer("push", called(blob), done, blob.size))

    return progress
