"""An image of the store as a source, so that it can go wherever an image of a registry or an archive can go."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from builder.errors import StoreError
from builder.oci.document import most_bytes
from builder.oci.source import Documents, Progress, load_image
from builder.oci.verify import chunks_of, open_regular, write_verified
from builder.store.store import Store
from builder.values.digest import Digest
from builder.values.image import Descriptor, Image
from builder.values.platform import Platform


class StoredSource:
    """What a name of the store points at: `manifest` may be an index of several platforms. The store stays open."""

    def __init__(self, name: str, manifest: Descriptor, store: Store) -> None:
        self.name = name
        self._manifest = manifest
        self._store = store
        self._documents = Documents()

    def load(self, platform: Platform) -> Image:
        """The image for `platform`. Raises ImageError, StoreError."""
        return load_image(self.name, self._manifest, self.read, platform)

    def root(self, platform: Platform) -> Descriptor:  # noqa: ARG002 - the protocol's signature
        """What the name points at."""
        return self._manifest

    def read(self, descriptor: Descriptor) -> bytes:
        """A small document, verified. Raises StoreError."""
        return self._documents.reader(self._read)(descriptor)

    def documents(self, image: Image) -> Iterable[tuple[Digest, bytes]]:
        """The manifest's and the config's bytes of a loaded image."""
        return self._documents.of(image)

    def fetch(self, layer: Descriptor, into: Path, progress: Progress) -> None:
        """Copy a blob to `into`, verified. Raises ImageError, StoreError."""
        if not self._store.blobs.has(layer.digest):
            raise StoreError(
                f"{self.name} is not whole: blob {layer.digest} is missing from the store",
                hint="pull or build the image again",
            )
        with open_regular(self._store.blobs.path(layer.digest), f"blob {layer.digest} of {self.name}") as file:
            write_verified(layer, chunks_of(file), into, progress)

    def _read(self, descriptor: Descriptor) -> bytes:
        return self._store.blobs.read(descriptor.digest, most_bytes())
