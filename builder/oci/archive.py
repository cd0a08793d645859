"""OCI layouts in one tar file: read as a source, written as an output with the same bytes for the same image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from builder.errors import ImageError, StoreError
from builder.oci.document import MAX_DOCUMENT_BYTES
from builder.oci.layout import LAYOUT_FILE, BlobPath, LayoutReader, blobs_of, index_entries
from builder.oci.manifest import write_index
from builder.oci.members import Members
from builder.oci.place import sync_directory, temporary_beside
from builder.oci.scratch import Temporary
from builder.oci.verify import chunks_of, write_error
from builder.tree.tarwrite import END_OF_ARCHIVE, header, padding
from builder.values.digest import Digest
from builder.values.entry import Entry, Kind
from builder.values.image import Descriptor, Image
from builder.values.reference import Reference


class ArchiveSource(LayoutReader):
    """An image of an OCI layout in the tar file `path`, compressed or not."""

    def __init__(self, path: Path, tag: str | None, temporary: Temporary | None = None) -> None:
        name = f"oci-archive:{path}" + (f":{tag}" if tag else "")
        super().__init__(name, tag, ArchivedFiles(name, path, temporary))


class ArchivedFiles:
    """A layout's files as members of a tar; the tar is opened when the first one is asked for."""

    def __init__(self, name: str, path: Path, temporary: Temporary | None) -> None:
        self._name = name
        self._path = path
        self._temporary = temporary
        self._opened: tuple[Members, ...] = ()

    def small(self, name: str) -> bytes:
        """`oci-layout` or `index.json`. Raises ImageError."""
        if self._members.find(name) is None:
            is_docker = self._members.find("manifest.json") is not None
            raise ImageError(
                f"{self._name} is not an OCI archive: {name} is not in it",
                hint=f"it looks like a docker archive: docker-archive:{self._path}" if is_docker else None,
            )
        return self._members.document(name)[: MAX_DOCUMENT_BYTES + 1]

    def blob(self, digest: Digest) -> Iterator[bytes]:
        """A blob in pieces. Raises ImageError when it is missing."""
        return self._members.chunks(self._members.get(f"blobs/sha256/{digest.hex}"))

    @property
    def _members(self) -> Members:
        if not self._opened:
            self._opened = (Members(self._path, self._name, self._temporary),)
        return self._opened[0]


def write_archive(
    destination: Path | BinaryIO, image: Image, blob_path: BlobPath, names: tuple[Reference, ...]
) -> None:
    """Write `image` as one tar to a file (replaced when all is written) or to an open binary stream.

    `blob_path` gives the file of each blob. Raises StoreError; for a stream whose reader went away, BrokenPipeError.
    """
    if not isinstance(destination, Path):
        _write(destination, image, blob_path, names)
        return
    try:
        _write_file(destination, image, blob_path, names)
    except OSError as error:
        raise write_error(error, destination) from error


def _write_file(path: Path, image: Image, blob_path: BlobPath, names: tuple[Reference, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        with open(temporary, "xb") as file:
            _write(file, image, blob_path, names)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _write(out: BinaryIO, image: Image, blob_path: BlobPath, names: tuple[Reference, ...]) -> None:
    """The members in a fixed order, the small ones that a reader looks for first at the front."""
    for name in (b"blobs", b"blobs/sha256"):
        out.write(header(Entry(name, Kind.DIR, mode=0o755)))
    _write_bytes(out, b"oci-layout", LAYOUT_FILE)
    _write_bytes(out, b"index.json", write_index(index_entries(image, names)))
    for descriptor in sorted(blobs_of(image), key=lambda descriptor: descriptor.digest):
        _write_blob(out, descriptor, blob_path(descriptor.digest))
    out.write(END_OF_ARCHIVE)


def _write_bytes(out: BinaryIO, name: bytes, data: bytes) -> None:
    out.write(header(Entry(name, Kind.FILE, mode=0o644, size=len(data))) + data + padding(len(data)))


def _write_blob(out: BinaryIO, descriptor: Descriptor, path: Path) -> None:
    count = 0
    out.write(header(Entry(b"blobs/sha256/" + descriptor.digest.hex.encode(), Kind.FILE, size=descriptor.size)))
    try:
        blob = open(path, "rb", buffering=0)  # noqa: SIM115 - the try is for the opening alone, the with comes below
    except FileNotFoundError as error:
        raise StoreError(
            f"blob {descriptor.digest} is missing in the store", hint="build again with --no-cache"
        ) from error
    with blob:
        for chunk in chunks_of(blob, descriptor.size + 1):
            count += len(chunk)
            out.write(chunk)
    if count != descriptor.size:
        raise StoreError(f"blob {descriptor.digest} is damaged in the store: it should have {descriptor.size} bytes")
    out.write(padding(descriptor.size))
