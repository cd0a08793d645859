"""OCI layouts in one tar file: read as a source, written as an output with the same bytes for the same image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from builder.declare import dataclass
from builder.errors import ImageError
from builder.oci.document import most_bytes
from builder.oci.layout import LAYOUT_FILE, BlobPath, LayoutReader, blobs_of, index_entries
from builder.oci.manifest import write_index
from builder.oci.members import Members
from builder.oci.scratch import Temporary
from builder.oci.tarball import Tarball, write_tarball
from builder.values.digest import Digest
from builder.values.image import Descriptor, Image
from builder.values.reference import Reference


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image and the names that it gets in an archive."""

    image: Image
    names: tuple[Reference, ...]


class ArchiveSource(LayoutReader):
    """An image of an OCI layout in the tar file `path`, compressed or not."""

    def __init__(self, path: Path, tag: str | None, temporary: Temporary | None = None) -> None:
        name = f"oci-archive:{path}" + (f":{tag}" if tag else "")
        super().__init__(name, tag, ArchivedFiles(name, path, temporary))


class ArchivedFiles:
    """A layout's files as members of a tar; the tar is opened when the first one is asked for."""

    def __init__(
        self, name: str, path: Path, temporary: Temporary | None, members: tuple[Members] | tuple[()] = ()
    ) -> None:
        self._name = name
        self._path = path
        self._temporary = temporary
        self._opened: tuple[Members, ...] = members

    def small(self, name: str) -> bytes:
        """`oci-layout` or `index.json`. Raises ImageError."""
        if self._members.find(name) is None:
            is_docker = self._members.find("manifest.json") is not None
            raise ImageError(
                f"{self._name} is not an OCI archive: {name} is not in it",
                hint=f"it looks like a docker archive: docker-archive:{self._path}" if is_docker else None,
            )
        return self._members.document(name)[: most_bytes() + 1]

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
    write_archive_of(destination, (NamedImage(image, names),), blob_path)


def write_archive_of(destination: Path | BinaryIO, images: Sequence[NamedImage], blob_path: BlobPath) -> None:
    """The same for several images in one archive; a blob that they share is in it once."""
    entries = [entry for named in images for entry in index_entries(named.image, named.names)]
    write_layout_archive(destination, blobs_of_all(images), blob_path, entries)


def write_layout_archive(
    destination: Path | BinaryIO, blobs: Sequence[Descriptor], blob_path: BlobPath, entries: Sequence[Descriptor]
) -> None:
    """The same for blobs, each there once, and the entries of an index.json that leads to them."""

    def write(tar: Tarball) -> None:
        begin_layout(tar, entries)
        for descriptor in in_order(blobs):
            tar.blob(descriptor, blob_path(descriptor.digest))
        tar.end()

    write_tarball(destination, write)


def begin_layout(tar: Tarball, entries: Sequence[Descriptor]) -> None:
    """The members that a reader of a layout looks for first."""
    tar.directory("blobs")
    tar.directory("blobs/sha256")
    tar.document("oci-layout", LAYOUT_FILE)
    tar.document("index.json", write_index(entries))


def blobs_of_all(images: Sequence[NamedImage]) -> tuple[Descriptor, ...]:
    """Every blob of several images, each once."""
    return tuple({point.digest: point for named in images for point in blobs_of(named.image)}.values())


def in_order(blobs: Sequence[Descriptor]) -> list[Descriptor]:
    """Blobs in the order in which an archive has them: it depends on nothing but what they are."""
    return sorted(blobs, key=lambda point: point.digest)
