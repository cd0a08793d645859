"""OCI image layouts in a directory: read as a source, written as an output.

Written so that a reader sees the old index.json or the new one, and never one that points at a blob that is not whole.
Source: OCI image-spec, image-layout.md.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from builder.declare import replace
from builder.errors import ImageError, StoreError
from builder.oci.document import canonical, most_bytes, parse_document
from builder.oci.manifest import read_index, write_index
from builder.oci.place import is_placed, place_blob, remove_leftovers, replace_file
from builder.oci.select import select
from builder.oci.source import Documents, Progress, load_image, named
from builder.oci.verify import chunks_of, open_regular, verified_bytes, write_error, write_verified
from builder.values.digest import Digest
from builder.values.image import Descriptor, Image
from builder.values.platform import Platform
from builder.values.reference import Reference

ANNOTATION_TAG = "org.opencontainers.image.ref.name"
ANNOTATION_NAME = "io.containerd.image.name"
LAYOUT_FILE = canonical({"imageLayoutVersion": "1.0.0"})

BlobPath = Callable[[Digest], Path]


class LayoutFiles(Protocol):
    """The files of a layout, wherever they lie."""

    def small(self, name: str) -> bytes:
        """`oci-layout` or `index.json`. Raises ImageError."""

    def blob(self, digest: Digest) -> Iterator[bytes]:
        """A blob in pieces, not verified yet. Raises ImageError when it is missing."""


class LayoutReader:
    """An image of a layout: by its tag, full name or digest, or the only one (or the one tagged latest)."""

    def __init__(self, name: str, tag: str | None, files: LayoutFiles) -> None:
        self.name = name
        self._tag = tag
        self._files = files
        self._documents = Documents()

    def load(self, platform: Platform) -> Image:
        """The image for `platform`. Raises ImageError."""
        return load_image(self.name, self.root(platform), self.read, platform)

    def root(self, platform: Platform) -> Descriptor:
        """What the tag points at, a manifest or an index; of several with one tag that for `platform`."""
        return select(self.name, self.entries(), self._tag, platform)

    def entries(self) -> tuple[Descriptor, ...]:
        """All that index.json lists. Raises ImageError."""
        check_layout(self.name, self._files.small("oci-layout"))
        return read_index(self._files.small("index.json"))

    def read(self, descriptor: Descriptor) -> bytes:
        """A small document by its descriptor, verified. Raises ImageError."""
        return self._documents.reader(self._read)(descriptor)

    def documents(self, image: Image) -> Iterable[tuple[Digest, bytes]]:
        """The manifest's and the config's bytes of a loaded image."""
        return self._documents.of(image)

    def fetch(self, layer: Descriptor, into: Path, progress: Progress) -> None:
        """Copy a layer's blob to `into`, verified. Raises ImageError, StoreError."""
        try:
            write_verified(layer, self._files.blob(layer.digest), into, progress)
        except ImageError as error:
            raise named(error, self.name) from error

    def _read(self, descriptor: Descriptor) -> bytes:
        return verified_bytes(descriptor, self._files.blob(descriptor.digest))


class LayoutSource(LayoutReader):
    """An image of an OCI layout in the directory `path`."""

    def __init__(self, path: Path, tag: str | None) -> None:
        name = f"oci:{path}" + (f":{tag}" if tag else "")
        super().__init__(name, tag, LayoutDirectory(path, name))


class LayoutDirectory:
    """The files of a layout in a directory; nothing is read yet."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name

    def small(self, name: str) -> bytes:
        """`oci-layout` or `index.json`. Raises ImageError."""
        if not self._path.is_dir():
            what = "is not a directory" if self._path.exists() else "does not exist"
            raise ImageError(f"{self._name}: {self._path} {what}", hint="an archive is named oci-archive:FILE")
        with open_regular(self._path / name, f"{self._name} is not an OCI layout: {name}") as file:
            return b"".join(chunks_of(file, most_bytes() + 1))

    def blob(self, digest: Digest) -> Iterator[bytes]:
        """A blob in pieces. Raises ImageError when it is missing."""
        with open_regular(self._path / "blobs" / "sha256" / digest.hex, f"blob {digest}") as file:
            yield from chunks_of(file)


def check_layout(name: str, data: bytes) -> None:
    """Raises ImageError unless `data` is an `oci-layout` file of version 1."""
    version = parse_document(data, f"{name}: oci-layout").text("imageLayoutVersion")
    if not version.startswith("1."):
        raise ImageError(f"{name} is an OCI layout of version {version[:20]!r}; only 1.0.0 is known")


def write_layout(directory: Path, image: Image, blob_path: BlobPath, names: tuple[Reference, ...]) -> None:
    """Write `image` into the layout at `directory`, made if it is missing; other tags there are kept.

    `blob_path` gives the file of each blob (the manifest's, the config's, the layers'). Raises StoreError.
    """
    add_to_layout(directory, blobs_of(image), blob_path, index_entries(image, names))


def add_to_layout(
    directory: Path, blobs: Sequence[Descriptor], blob_path: BlobPath, entries: Sequence[Descriptor]
) -> None:
    """Put blobs into the layout at `directory`, made if it is missing, and then entries into its index.json.

    The file of a blob that is there already is not asked for. Raises StoreError.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _locked(directory):
            _prepare(directory)
            for descriptor in blobs:
                target = blob_file(directory, descriptor)
                if not is_placed(target, descriptor):
                    place_blob(blob_path(descriptor.digest), target, descriptor)
            kept = _entries(directory)
            replace_file(directory / "index.json", write_index(merged(kept, entries)))
    except OSError as error:
        raise write_error(error, directory) from error


def blob_file(directory: Path, descriptor: Descriptor) -> Path:
    """Where the layout at `directory` has a blob, or would have it."""
    return directory / "blobs" / "sha256" / descriptor.digest.hex


def _prepare(directory: Path) -> None:
    """Make an empty layout where there is none, and clear away what a killed build of ours left behind."""
    remove_leftovers(directory)
    if not (directory / "oci-layout").exists():
        if os.listdir(directory):
            raise StoreError(
                f"{directory} is not empty and not an OCI layout; nothing was written there",
                hint="name a directory that does not exist, is empty, or is a layout",
            )
        replace_file(directory / "oci-layout", LAYOUT_FILE)
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    remove_leftovers(blobs)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other builds of ours out while index.json is read and replaced; the lock dies with the process."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _entries(directory: Path) -> tuple[Descriptor, ...]:
    """What an existing index.json lists. Raises StoreError when it is damaged: it is not ours to throw away."""
    if not (directory / "index.json").exists():
        return ()
    try:
        with open_regular(directory / "index.json", f"the layout {directory}") as file:
            return read_index(b"".join(chunks_of(file, most_bytes() + 1)))
    except ImageError as error:
        raise StoreError(
            f"{directory}/index.json cannot be read: {error.message}", hint="move the damaged layout away"
        ) from error


def blobs_of(image: Image) -> tuple[Descriptor, ...]:
    """Everything the image is made of, each blob once; what points comes after what it points at."""
    every = (*(layer.descriptor for layer in image.layers), image.config_descriptor, image.manifest)
    return tuple({descriptor.digest: descriptor for descriptor in every}.values())


def index_entries(image: Image, names: tuple[Reference, ...]) -> tuple[Descriptor, ...]:
    """The image's entries in an index.json: one for each tag, or one without a tag. Annotated as buildx does it."""
    own = tuple(pair for pair in image.manifest.annotations if pair[0] not in (ANNOTATION_NAME, ANNOTATION_TAG))
    plain = replace(image.manifest, annotations=own, platform=image.config.platform)
    entries: dict[str, Descriptor] = {}
    for name in names:
        if name.tag is not None and name.tag not in entries:
            annotations = (*own, (ANNOTATION_NAME, str(replace(name, digest=None))), (ANNOTATION_TAG, name.tag))
            entries[name.tag] = replace(plain, annotations=annotations)
    return tuple(entries.values()) or (plain,)


def merged(kept: Sequence[Descriptor], new: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    """An index's entries after `new` replaced those with the same tag, and those of the same image with none."""
    tags = {dict(entry.annotations).get(ANNOTATION_TAG) for entry in new} - {None}
    digests = {entry.digest for entry in new}
    left = [entry for entry in kept if not _replaced(entry, tags, digests)]
    return (*left, *new)


def _replaced(entry: Descriptor, tags: set[str | None], digests: set[Digest]) -> bool:
    tag = dict(entry.annotations).get(ANNOTATION_TAG)
    return tag in tags if tag is not None else entry.digest in digests
