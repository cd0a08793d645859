"""The stock: blobs of the store's images as files, also of those of which the store lacks some.

What the store remembers of pulls, and the names of its images, say where else a blob may be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path

from builder.errors import ImageError, PybuildError, StoreError
from builder.oci.lanes import go_on
from builder.oci.manifest import read_manifest
from builder.oci.open import open_source
from builder.oci.source import ImageSource, Progress
from builder.oci.stored import StoredSource
from builder.stages.arrivals import Arrivals
from builder.store.store import Store
from builder.tree import bounds
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.event import Emit
from builder.values.image import Descriptor
from builder.values.reference import Reference

_MOST_SOURCES = 3  # asked for a blob that the store lacks


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
                name = Reference.parse(image.name)
            except ValueError:
                continue  # another tool's name, which is none of a registry
            if "/" in name.familiar:  # `app` is what people call an image here; Docker Hub has nothing of theirs by it
                yield name, image.manifest

    def _blobs_of(self, manifest: Descriptor) -> tuple[Digest, ...]:
        try:
            data = self._store.blobs.read(manifest.digest, bounds.limits().document_bytes)
            read = read_manifest(data, manifest.media_type)
        except PybuildError:
            return ()  # only a help: what is damaged or gone helps nobody
        return tuple(point.digest for point in (read.config, *read.layers))


class Stock:
    """The files of `blobs`. May be used from several threads."""

    def __init__(self, blobs: Iterable[Descriptor], store: Store, access: Access, emit: Emit) -> None:
        self._blobs = {blob.digest: blob for blob in blobs}
        self._store = store
        self._access = access
        self._arrivals = Arrivals(store, emit)
        self.origins = Origins(store)

    def path(self, digest: Digest) -> Path:
        """The file of one of the blobs, fetched into the store now if it must be. Raises ImageError, StoreError."""
        blob = self._blobs[digest]
        if not self._arrivals.is_here(blob):
            self._from_elsewhere(blob, lambda source: self._arrivals.bring(blob, source, go_on))
        return self._store.blobs.path(digest)

    def fetch(self, blob: Descriptor, into: Path, progress: Progress) -> None:
        """Write a blob that the store lacks to the file `into`, verified. Raises ImageError, StoreError."""
        self._from_elsewhere(blob, lambda source: source.fetch(blob, into, progress))

    def _from_elsewhere(self, blob: Descriptor, take: Callable[[ImageSource], None]) -> None:
        failure: ImageError | None = None
        for name in self.origins.of(blob)[:_MOST_SOURCES]:
            try:
                return take(open_source(str(name), self._store.blobs.temporary, access=self._access))
            except ImageError as error:
                failure = failure or error
        raise failure or StoreError(
            f"blob {blob.digest} of the image is missing from the store", hint="build or pull the image again"
        )


class StockedSource(StoredSource):
    """What a name of the store points at; a blob that the store lacks is fetched from where else it may be."""

    def __init__(self, name: str, manifest: Descriptor, store: Store, stock: Stock) -> None:
        super().__init__(name, manifest, store)
        self._blobs = store.blobs
        self._stock = stock

    def fetch(self, layer: Descriptor, into: Path, progress: Progress) -> None:
        """Write a blob to `into`, verified. Raises ImageError, StoreError."""
        if self._blobs.has(layer.digest):
            super().fetch(layer, into, progress)
        else:
            self._stock.fetch(layer, into, progress)
