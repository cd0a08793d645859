"""Pushing: images of the store into registries.

What the store remembers of pulls, and the names of its images, say where else a layer may be: in the same registry it
is mounted from there, and one that the store has no longer is fetched from there. So an image is pushed whole, whatever
of it is here.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from builder.errors import ImageError, PybuildError, StoreError
from builder.oci.convert import as_docker, as_oci
from builder.oci.lanes import go_on
from builder.oci.listing import Listing, listing_of
from builder.oci.manifest import INDEX_TYPES, MAX_DOCUMENT_BYTES, read_manifest
from builder.oci.open import open_source
from builder.oci.push import Pushed, Watch, push_listing
from builder.oci.source import ReadDocument, load_image
from builder.stages.arrivals import Arrivals, called
from builder.stages.images import build_platform
from builder.store.store import Store
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.event import Emit, Note, Transfer
from builder.values.image import Descriptor
from builder.values.output import MediaTypes
from builder.values.reference import Reference

_MOST_SOURCES = 3  # asked for a blob that the store lacks
_REPORT_S = 0.1  # a transfer is told of this often; what shows it decides how much of that people see


def push_from_store(
    manifest: Descriptor, names: Sequence[Reference], store: Store, access: Access, emit: Emit
) -> Pushed:
    """Push what a manifest or index of the store leads to under all `names`, of any registries. Raises ImageError,
    StoreError.
    """
    listing = listing_of(str(manifest.digest), manifest, _reader(store))
    origins = Origins(store)
    stock = _Stock(listing, origins, store, access, emit)
    return push_listing(listing, stock.path, names, access, Watch(progress_of(emit), origins.of))


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
    return lambda point: store.blobs.read(point.digest, MAX_DOCUMENT_BYTES)


class Origins:
    """In which repositories blobs are, as far as the store knows. May be used from several threads.

    Pulled images surely were there. An image that only has a registry's name in the store may have been pushed there;
    asking costs nothing, since a registry that cannot mount a blob opens the upload instead.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, blob: Descriptor) -> tuple[Reference, ...]:
        """The names of images that have the blob."""
        return tuple(self._found.get(blob.digest, ()))

    @cached_property
    def _found(self) -> dict[Digest, list[Reference]]:
        found: defaultdict[Digest, list[Reference]] = defaultdict(list)
        pulled = [(name, manifest) for name, _, manifest in self._store.pulled.all()]
        for name, manifest in (*pulled, *self._named()):
            for digest in self._blobs_of(manifest):
                found[digest].append(name)
        return dict(found)

    def _named(self) -> Iterator[tuple[Reference, Descriptor]]:
        for image in self._store.images.all():
            try:
                yield Reference.parse(image.name), image.manifest
            except ValueError:
                continue  # another tool's name, which is none of a registry

    def _blobs_of(self, manifest: Descriptor) -> tuple[Digest, ...]:
        try:
            data = self._store.blobs.read(manifest.digest, MAX_DOCUMENT_BYTES)
            read = read_manifest(data, manifest.media_type)
        except PybuildError:
            return ()  # only a help: what is damaged or gone helps nobody
        return tuple(point.digest for point in (read.config, *read.layers))


class _Stock:
    """The files of what is pushed."""

    def __init__(self, listing: Listing, origins: Origins, store: Store, access: Access, emit: Emit) -> None:
        self._blobs = {blob.digest: blob for blob in listing.everything}
        self._origins = origins
        self._store = store
        self._access = access
        self._arrivals = Arrivals(store, emit)

    def path(self, digest: Digest) -> Path:
        """The file of a blob, fetched into the store now if it is not there. Raises ImageError, StoreError."""
        blob = self._blobs[digest]
        if not self._arrivals.is_here(blob):
            self._fetch(blob)
        return self._store.blobs.path(digest)

    def _fetch(self, blob: Descriptor) -> None:
        failure: ImageError | None = None
        for name in self._origins.of(blob)[:_MOST_SOURCES]:
            source = open_source(str(name), self._store.blobs.temporary, access=self._access)
            try:
                return self._arrivals.bring(blob, source, go_on)
            except ImageError as error:
                failure = failure or error
        raise failure or StoreError(
            f"blob {blob.digest} of the image is missing from the store",
            hint="build or pull the image again, then push it",
        )


def progress_of(emit: Emit) -> Callable[[Descriptor, int], None]:
    """Tells of a push as events: now and then, and when a blob is there."""
    told_s: dict[Digest, float] = {}

    def progress(blob: Descriptor, done: int) -> None:
        now_s = time.monotonic()
        if done == blob.size or now_s - told_s.get(blob.digest, 0.0) >= _REPORT_S:
            told_s[blob.digest] = now_s
            emit(Transfer("push", called(blob), done, blob.size))

    return progress
