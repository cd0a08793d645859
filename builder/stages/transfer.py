"""Transfer: an image from outside made whole in the store.

The manifest and the config are kept byte by byte, so that the image has the same digest here as where it came from, and
every layer's blob is the one that the manifest names. What the config claims of the layers (their diff-ids) is believed
only when the layers have been read: the cache of steps is keyed by diff-ids, and a stranger's claim must not get there.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from builder.errors import ImageError
from builder.oci.source import ImageSource, ignore_progress, named
from builder.stages.images import FoundImage
from builder.stages.layers import Layers
from builder.store.store import Store
from builder.tree.compress import decompressor
from builder.values.digest import DiffId
from builder.values.event import Emit
from builder.values.image import Image, Layer
from builder.values.platform import Platform

_CHUNK_BYTES = 1 << 20


def bring_in(source: ImageSource, platform: Platform, store: Store, emit: Emit) -> Image:
    """The source's image for `platform`, whole in the store but without a name there. Raises ImageError, StoreError.

    Where the source has only one image, it may be for another platform; the caller compares.
    """
    return keep(source, source.load(platform), store, emit)


def keep(source: ImageSource, image: Image, store: Store, emit: Emit) -> Image:
    """The same for an image that the source has loaded already."""
    layers = Layers(store, emit)
    layers.learn(FoundImage(image, source))
    try:
        for layer in image.layers:
            layers.ensure(layer)
        for layer in image.layers:
            _prove(layer, layers, source, store)
    except ImageError as error:
        raise named(error, source.name) from error
    for digest, data in source.documents(image):
        if store.blobs.put(data) != digest:
            raise ImageError(f"{source.name}: a document does not have its digest")
    return image


def _prove(layer: Layer, layers: Layers, source: ImageSource, store: Store) -> None:
    """The very blob that the manifest names is in the store and has the layer's diff-id."""
    wanted = layer.descriptor.digest
    if layers.prove(layer).descriptor.digest == wanted:
        return
    # The store had the same layer compressed in another way, which proves nothing of the blob that is wanted here.
    if store.blobs.has(wanted):
        _check_diff_id(layer, store.blobs.path(wanted))
        return
    temporary = store.blobs.temporary()
    try:
        source.fetch(layer.descriptor, temporary, ignore_progress)
        _check_diff_id(layer, temporary)
        store.blobs.adopt(temporary, wanted)
    finally:
        temporary.unlink(missing_ok=True)


def _check_diff_id(layer: Layer, blob: Path) -> None:
    sha256 = hashlib.sha256()
    with open(blob, "rb") as file, decompressor(layer.descriptor.media_type, file) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            sha256.update(chunk)
    if DiffId(sha256.hexdigest()) != layer.diff_id:
        raise ImageError(
            f"layer {layer.descriptor.digest} holds {sha256.hexdigest()} and not {layer.diff_id}, as its image says",
            hint="the image is damaged or was put together wrongly; fetch or build it again",
        )
