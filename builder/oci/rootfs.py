"""A root file system as an image of one layer: from a tar, or from a directory, which is packed.

Whatever the directory's owners are, its files belong to 0:0 in the image, as if it had been made by
`tar --owner=0 --group=0`. The image has an empty config, as `docker import` makes it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from builder.declare import dataclass
from builder.errors import ContextError, ImageError
from builder.oci.manifest import Manifest, write_config, write_manifest
from builder.oci.scratch import Temporary, owned_file
from builder.oci.source import Documents, Progress, assemble
from builder.oci.verify import CHUNK_BYTES, chunks_of, new_file, open_regular, write_verified
from builder.tree.compress import SNIFF_BYTES, decompressor, sniff
from builder.tree.pack import Item, pack_layer
from builder.tree.safe import Root
from builder.tree.scan import open_context, scan
from builder.tree.tarformat import read_entries
from builder.values.digest import DiffId, Digest
from builder.values.entry import Kind
from builder.values.image import (
    MEDIA_CONFIG,
    MEDIA_LAYER,
    MEDIA_LAYER_GZIP,
    MEDIA_LAYER_ZSTD,
    MEDIA_MANIFEST,
    Descriptor,
    History,
    Image,
    ImageConfig,
    Layer,
)
from builder.values.platform import Platform


@dataclass(frozen=True, slots=True)
class _Blob:
    """The layer's blob as a file."""

    path: Path
    layer: Layer


class RootfsSource:
    """The root file system at `path`: a directory, or a tar that is plain or compressed (gzip, zstd, bzip2, xz)."""

    def __init__(self, path: Path, temporary: Temporary | None = None) -> None:
        self.name = f"rootfs:{path}"
        self._path = path
        self._temporary = temporary
        self._documents = Documents()
        self._blobs: tuple[_Blob, ...] = ()

    def load(self, platform: Platform) -> Image:
        """The image, said to be for `platform`: a root file system does not say. Reads all of it. Raises ImageError."""
        layer = self._blob.layer
        config = ImageConfig(
            platform=platform,
            history=(History(created_by="import of a root file system"),),
            diff_ids=(layer.diff_id,),
        )
        config_point = self._keep(MEDIA_CONFIG, write_config(config))
        manifest = Manifest(config_point, (layer.descriptor,))
        manifest_point = self._keep(MEDIA_MANIFEST, write_manifest(manifest.config, manifest.layers))
        return assemble(manifest_point, manifest, config)

    def documents(self, image: Image) -> Iterable[tuple[Digest, bytes]]:
        """The manifest's and the config's bytes of a loaded image."""
        return self._documents.of(image)

    def fetch(self, layer: Descriptor, into: Path, progress: Progress) -> None:
        """Copy the layer to `into`, verified. Raises ImageError, also when the tar has changed since it was loaded."""
        with open_regular(self._blob.path, self.name) as file:
            write_verified(layer, chunks_of(file), into, progress)

    def _keep(self, media_type: str, data: bytes) -> Descriptor:
        return Descriptor(media_type, self._documents.put(data), len(data))

    @property
    def _blob(self) -> _Blob:
        if not self._blobs:
            self._blobs = (self._packed() if self._path.is_dir() else self._taken(),)
        return self._blobs[0]

    def _packed(self) -> _Blob:
        blob, index = owned_file(self, self._temporary), owned_file(self, self._temporary)
        try:
            with open_context(self._path) as root:
                packed = pack_layer(_items(root), blob, index, "gzip")
            index.unlink()  # who fetches the layer makes its own
        except ContextError as error:
            raise ImageError(
                f"{self.name} cannot be read: {error.message}",
                hint="what belongs to other ids can be read in `pybuild unshare`: make a tar of it there",
            ) from error
        return _Blob(blob, Layer(Descriptor(MEDIA_LAYER_GZIP, packed.digest, packed.size), packed.diff_id))

    def _taken(self) -> _Blob:
        """The tar itself as the layer, after all of it was read; without a compression that layers do not have."""
        with open_regular(self._path, self.name) as file:
            media_type = sniff(file.read(SNIFF_BYTES))
            file.seek(0)
            if media_type in (MEDIA_LAYER, MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD):
                return _Blob(self._path, self._read(file, media_type))
            plain = owned_file(self, self._temporary)
            with new_file(plain) as out, decompressor(media_type, file) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    out.write(chunk)
        with open_regular(plain, self.name) as file:
            return _Blob(plain, self._read(file, MEDIA_LAYER))

    def _read(self, file: BinaryIO, media_type: str) -> Layer:
        """Read a tar to its end: it must be one, and both of its digests are needed."""
        raw = _Hashing(file)
        try:
            with decompressor(media_type, raw) as stream:  # type: ignore[arg-type]  # only read() is used
                tar = _Hashing(stream)
                for _ in read_entries(tar):
                    pass
                tar.drain()
            raw.drain()
        except ImageError as error:
            raise ImageError(f"{self.name} cannot be read: {error.message}", hint=error.hint) from error
        return Layer(Descriptor(media_type, Digest(raw.sha256), raw.count), DiffId(tar.sha256))


class _Hashing:
    """A stream that hashes what is read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.count = 0

    def read(self, count: int, /) -> bytes:
        data = self._stream.read(count)
        self._hash.update(data)
        self.count += len(data)
        return data

    def drain(self) -> None:
        while self.read(CHUNK_BYTES):
            pass

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def _items(root: Root) -> Iterator[Item]:
    """Everything below the directory; its own mode (that of a mktemp -d, perhaps) does not become the root's."""
    for found in scan(root):
        entry = found.entry
        if entry.path:
            yield Item(entry, _Opener(root, entry.path) if entry.kind is Kind.FILE else None)


@dataclass(frozen=True, slots=True)
class _Opener:
    root: Root
    path: bytes

    def __call__(self) -> int:
        try:
            return self.root.open_file(self.path, os.O_RDONLY, follow_last=False)
        except OSError as error:
            raise ContextError(f"{os.fsdecode(self.path)!r}: {error.strerror}") from error
