"""Transfer: an image from outside made whole in the store.

The manifest and the config are kept byte by byte, so that the image has the same digest here as where it came from, and
every layer's blob is the one that the manifest names. What the config claims of the layers (their diff-ids) is believed
only when the layers have been read: the cache of steps is keyed by diff-ids, and a stranger's claim must not get there.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from builder.errors import ImageError
from builder.oci.lanes import go_on
from builder.oci.source import ImageSource, named
from builder.stages.arrivals import Arrivals
from builder.stages.images import FoundImage, build_platform
from builder.stages.layers import Layers
from builder.store.store import Store
from builder.tree.compress import decompressor
from builder.values.digest import DiffId
from builder.values.event import Emit, Note
from builder.values.image import Image, Layer
from builder.values.platform import Platform

_CHUNK_BYTES = 1 << 20


def bring_in(source: ImageSource, platform: Platform, store: Store, emit: Emit) -> Image:
    """The source's image for `platform`, whole in the store but without a name there. Raises ImageError, StoreError.

    Where the source has only one image, it may be for another platform; the caller compares.
    """
    image = source.load(platform)
    keep(source, image, store, emit)
    return image


def wanted_image(source: ImageSource, platform: Platform | None, emit: Emit) -> Image:
    """The source's image for a platform that was asked for, or for this machine. Raises ImageError.

    A lone image of another platform is refused where one was asked for, and else taken with a note.
    """
    wanted = platform or build_platform()
    image = source.load(wanted)
    there = image.config.platform
    if (there.os, there.architecture) == (wanted.os, wanted.architecture):
        return image
    if platform is not None:
        raise ImageError(f"{source.name}: there is no image for {platform}", hint=f"there is one for {there} only")
    emit(Note(f"{source.name} is an image for {there}, and this machine is {wanted}"))
    return image


def keep(source: ImageSource, image: Image, store: Store, emit: Emit) -> None:
    """Make an image that the source has loaded whole in the store. Raises ImageError, StoreError."""
    layers = Layers(store, emit)
    layers.learn(FoundImage(image, source))
    try:
        for layer, held in zip(image.layers, layers.prove_all(image.layers), strict=True):
            if layer.descriptor.digest != held.descriptor.digest:
                _keep_its_own(layer, source, Arrivals(store, emit), store)
    except ImageError as error:
        raise named(error, source.name) from error
    for digest, data in source.documents(image):
        if store.blobs.put(data) != digest:
            raise ImageError(f"{source.name}: a document does not have its digest")


def _keep_its_own(layer: Layer, source: ImageSource, arrivals: Arrivals, store: Store) -> None:
    """The very blob that the manifest names, where the store has the same layer compressed in another way: which proves
    nothing of this blob.
    """
    if arrivals.is_here(layer.descriptor):
        _check_diff_id(layer, store.blobs.path(layer.descriptor.digest))
        return
    temporary = arrivals.fetch(layer.descriptor, source, go_on)
    try:
        _check_diff_id(layer, temporary)
        store.blobs.adopt(temporary, layer.descriptor.digest)
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
