"""Layers in another compression: the same tar, and so the same diff-id, in another blob.

The store's own record of a layer (`store.layers`) goes on naming the blob that the layer came with or was made as:
what steps and questions read stays the same whatever is exported. What is made here is remembered beside it
(`store.variants`), so that the next export of the same layer only looks it up.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from builder.declare import replace
from builder.errors import ImageError, PybuildError, StoreError
from builder.oci.lanes import Check, carry_all
from builder.oci.manifest import write_manifest
from builder.store import files
from builder.store.store import Store
from builder.tree.compress import decompressor, media_type_of
from builder.values.compression import Compression
from builder.values.digest import DiffId, Digest
from builder.values.image import MEDIA_MANIFEST, Descriptor, Image, Layer

if TYPE_CHECKING:
    from builder.tree.compressor import Compressor

_CHECK_BYTES = 16 << 20  # a lane asks once in so many bytes whether it may go on


def recompressed(image: Image, compression: Compression, level: int | None, store: Store, kept: int = 0) -> Image:
    """The image with its layers in this compression, the lowest `kept` of them as they are; all blobs in the store.

    The blobs of the layers must be there already. `level` None takes whatever level a layer has where the compression
    is right, else the compression's default. The image itself comes back where nothing changes. Raises StoreError.
    """
    layers = recompressed_layers(image.layers, compression, level, store, kept)
    return image if layers == image.layers else with_layers(image, layers, store)


def recompressed_layers(
    layers: tuple[Layer, ...], compression: Compression, level: int | None, store: Store, kept: int = 0
) -> tuple[Layer, ...]:
    """The same for layers that are no image yet. Several are done at a time, one for each processor."""
    wanted = layers[kept:]
    work = _Work(compression, level, store)
    known = {layer.diff_id: work.known(layer) for layer in wanted}
    missing = list({layer.diff_id: layer for layer in wanted if known[layer.diff_id] is None}.values())
    if missing:
        made = carry_all(missing, work.make, most=max(1, os.cpu_count() or 1))
        known.update((layer.diff_id, layer) for layer in made)
    return (*layers[:kept], *(known[layer.diff_id] or layer for layer in wanted))


def with_layers(image: Image, layers: tuple[Layer, ...], store: Store) -> Image:
    """The image with these blobs for its layers, under a new OCI manifest that is put into the store."""
    data = write_manifest(image.config_descriptor, [layer.descriptor for layer in layers], image.annotations)
    digest = store.blobs.put(data)
    manifest = replace(image.manifest, media_type=MEDIA_MANIFEST, digest=digest, size=len(data))
    return replace(image, manifest=manifest, layers=layers)


def remember_made(layer: Layer, compression: Compression, level: int | None, store: Store) -> None:
    """Note that a layer was packed with this level, so that asking for that later finds it."""
    if level is not None:
        store.variants.put(layer.diff_id, _recipe(compression, level), layer.descriptor)


def _recipe(compression: Compression, level: int | None) -> str:
    return compression.value if level is None else f"{compression.value}-{level}"


class _Work:
    """What is to be done to each layer."""

    def __init__(self, compression: Compression, level: int | None, store: Store) -> None:
        self._compression = compression
        self._level = level
        self._store = store

    def known(self, layer: Layer) -> Layer | None:
        """The layer as it is wanted, where that is no work; None where it must be made."""
        found = self._store.variants.find(layer.diff_id, _recipe(self._compression, self._level))
        if found is not None:
            return Layer(found, layer.diff_id)
        is_right = layer.descriptor.media_type == media_type_of(self._compression.value)
        return layer if is_right and (self._level is None or self._compression is Compression.NONE) else None

    def make(self, layer: Layer, check: Check) -> Layer:
        """Compress a layer anew, its blob adopted by the store and remembered."""
        temporary = self._store.blobs.temporary()
        try:
            with files.plain_errors("cannot compress a layer"), open(temporary, "xb", buffering=0) as out:
                made = self._compressed(layer, out, check)
            self._store.blobs.adopt(temporary, made.digest)
        finally:
            temporary.unlink(missing_ok=True)
        self._store.variants.put(layer.diff_id, _recipe(self._compression, self._level), made)
        return Layer(made, layer.diff_id)

    def _compressed(self, layer: Layer, out: BinaryIO, check: Check) -> Descriptor:
        from builder.tree.compressor import Compressor  # most layers are as they are wanted

        level = -1 if self._level is None else self._level
        path = self._store.blobs.path(layer.descriptor.digest)
        try:
            with Compressor(self._compression.value, level, _Whole(out).write) as packer:
                self._pour(path, layer.descriptor.media_type, packer, check)
        except FileNotFoundError:
            raise _lost(layer) from None
        except ImageError as error:
            raise self._damaged(layer) from error
        if DiffId(packer.raw_sha256) != layer.diff_id:
            raise self._damaged(layer)
        media_type = media_type_of(self._compression.value)
        return Descriptor(media_type, Digest(packer.sha256), packer.size)

    def _pour(self, path: Path, media_type: str, packer: Compressor, check: Check) -> None:
        from builder.tree.compressor import BLOCK_BYTES

        with open(path, "rb", buffering=0) as raw, decompressor(media_type, raw) as tar:
            next_check = 0
            while piece := tar.read(BLOCK_BYTES):
                packer.write(piece)
                if packer.position >= next_check:
                    check()
                    next_check = packer.position + _CHECK_BYTES
            packer.close()

    def _damaged(self, layer: Layer) -> PybuildError:
        """The error for a blob that is not what its record says; it is put aside, so that it is had anew."""
        self._store.blobs.discard(layer.descriptor.digest)
        return StoreError(
            f"blob {layer.descriptor.digest} in the store was damaged", hint="build again: it will be made anew"
        )


class _Whole:
    """Writes each piece whole: a file without a buffer may take less than it is given."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, data: bytes | memoryview) -> None:
        """Raises OSError."""
        view = memoryview(data)
        while view:
            view = view[self._out.write(view) :]


def _lost(layer: Layer) -> StoreError:
    return StoreError(
        f"blob {layer.descriptor.digest} is missing in the store", hint="build again with --pull and --no-cache"
    )
