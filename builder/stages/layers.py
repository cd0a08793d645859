"""Layers at hand: blobs fetched when they are first needed, their indexes, and the merged view of a stack.

Nothing here unpacks: questions about an image's files are answered from its layers' indexes.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.errors import ImageError, StoreError
from builder.oci.source import ImageSource
from builder.stages.images import FoundImage
from builder.store.store import Store
from builder.tree.index import index_of, read_index
from builder.tree.reader import LayerReader
from builder.tree.view import Located, View
from builder.values.digest import ChainId, DiffId, Digest
from builder.values.entry import Entry
from builder.values.event import Emit, Transfer
from builder.values.image import MEDIA_LAYER, Descriptor, Layer
from builder.values.record import LayerRecord
from builder.values.stack import Stack

_REPORT_BYTES = 4 << 20  # a transfer is reported once in so many bytes


class Layers:
    """The layers of one build: those of the store, and those that the images found so far can give."""

    def __init__(self, store: Store, emit: Emit) -> None:
        self._store = store
        self._emit = emit
        self._sources: dict[DiffId, tuple[ImageSource, Layer]] = {}
        self._indexes: dict[DiffId, list[Entry]] = {}
        self._views: dict[ChainId, View] = {}
        self._lock = threading.RLock()

    def learn(self, found: FoundImage) -> None:
        """Remember where this image's layers can be had."""
        if found.source is not None:
            for layer in found.image.layers:
                self._sources.setdefault(layer.diff_id, (found.source, layer))

    def known(self, diff_id: DiffId) -> Layer | None:
        """The layer of this diff-id, if the store has it or an image of this build does."""
        record = self._store.layers.find(diff_id)
        if record is not None:
            return Layer(record.descriptor, diff_id)
        source = self._sources.get(diff_id)
        return None if source is None else source[1]

    def ensure(self, layer: Layer) -> Layer:
        """The layer with its blob in the store, fetched now if it must be. Raises ImageError, StoreError.

        The blob has its digest; that it also has the layer's diff-id is an image's claim until somebody has read it.
        """
        with self._lock:
            record = self._store.layers.find(layer.diff_id)
            if record is not None:
                return Layer(record.descriptor, layer.diff_id)
            source = self._sources.get(layer.diff_id)
            # Another image may hold the same layer compressed in another way: what is fetched is what the source has.
            held = layer if source is None else source[1]
            if not self._is_whole(held.descriptor):
                self._fetch(held)
            return held

    def prove(self, layer: Layer) -> Layer:
        """The same, and the diff-id is known to be true: for what goes into an image. Raises ImageError, StoreError."""
        with self._lock:
            held = self.ensure(layer)
            if self._store.layers.find(layer.diff_id) is None:
                self._make_index(held)
            return held

    def trust(self, layer: Layer) -> None:
        """Remember that this blob is the layer of its diff-id; the caller has read and hashed all of it."""
        self._store.layers.put(LayerRecord(layer.diff_id, layer.descriptor))

    @contextmanager
    def reading(self, layer: Layer) -> Iterator[None]:
        """While the layer's blob is read: one that the disk has damaged is put aside, so that it is had anew.

        Raises StoreError then; an ImageError about a blob that has its digest stays what it is.
        """
        try:
            yield
        except ImageError as error:
            digest = layer.descriptor.digest
            if _digest_of(self.blob_path(layer)) == digest:
                raise
            self._store.blobs.discard(digest)
            raise StoreError(
                f"blob {digest} in the store was damaged", hint="build again: it will be made anew"
            ) from error

    def blob_path(self, layer: Layer) -> Path:
        """The file of the layer's blob, which must be in the store."""
        return self._store.blobs.path(layer.descriptor.digest)

    def _is_whole(self, descriptor: Descriptor) -> bool:
        try:
            return os.stat(self._store.blobs.path(descriptor.digest)).st_size == descriptor.size
        except OSError:
            return False

    def _fetch(self, layer: Layer) -> None:
        known = self._sources.get(layer.diff_id)
        if known is None:
            raise StoreError(
                f"the layer {layer.descriptor.digest} is missing from the store",
                hint="build again with --pull and --no-cache, or remove the image that needs it",
            )
        source, _ = known
        temporary = self._store.blobs.temporary()
        try:
            source.fetch(layer.descriptor, temporary, self._progress(layer.descriptor))
            self._store.blobs.adopt(temporary, layer.descriptor.digest)
        finally:
            temporary.unlink(missing_ok=True)

    def _progress(self, descriptor: Descriptor) -> Callable[[int], None]:
        what = descriptor.digest.hex[:12]
        shown = -1

        def report(done: int) -> None:
            nonlocal shown
            step = done // _REPORT_BYTES
            if step != shown or done == descriptor.size:
                shown = step
                self._emit(Transfer("pull", what, done, descriptor.size))

        return report

    def index(self, layer: Layer) -> list[Entry]:
        """The layer's entries; read from its blob once if the store has no index of it."""
        with self._lock:
            entries = self._indexes.get(layer.diff_id)
            if entries is None:
                entries = self._indexes[layer.diff_id] = self._read_index(layer)
            return entries

    def _read_index(self, layer: Layer) -> list[Entry]:
        if not self._store.layers.has_index(layer.diff_id):
            self._make_index(self.ensure(layer))
        path = self._store.layers.index_path(layer.diff_id)
        try:
            return read_index(path)
        except StoreError:  # damaged on the disk: everything in it stands in the blob too
            self._store.layers.discard_index(layer.diff_id)
            self._make_index(self.ensure(layer))
            return read_index(path)

    def _make_index(self, held: Layer) -> None:
        temporary = self._store.blobs.temporary()
        with self.reading(held):
            index_of(self.blob_path(held), held.descriptor.media_type, held.diff_id, temporary)
        self._store.layers.adopt_index(temporary, held.diff_id)
        self.trust(held)

    def view(self, stack: Stack) -> View:
        """The merged file system of a stack."""
        with self._lock:
            view = self._views.get(stack.chain)
            if view is None:
                view = View.of([self.index(layer) for layer in stack.layers])
                self._views[stack.chain] = view
            return view

    def contents(self, stack: Stack, wanted: list[Located]) -> Callable[[Located], Callable[[], int]]:
        """Openers for the contents of files of a stack: one pass over each layer that holds any of them."""
        by_layer: dict[int, list[Entry]] = {}
        for located in wanted:
            by_layer.setdefault(located.layer, []).append(located.entry)
        spools = {}
        for number, entries in by_layer.items():
            held = self.ensure(stack.layers[number])
            reader = LayerReader(self.blob_path(held), held.descriptor.media_type)
            with self.reading(held):
                spools[number] = reader.spool(entries, self._store.blobs.temporary().parent)

        def opener(located: Located) -> Callable[[], int]:
            open_entry = spools[located.layer]
            entry = located.entry
            return lambda: open_entry(entry)

        return opener

    def read_small(self, stack: Stack, path: bytes, limit_bytes: int) -> bytes:
        """The content of a regular file of the stack, or b"" where there is none. Raises ImageError past the limit."""
        view = self.view(stack)
        located = view.get(view.resolve(path))
        if located is None or located.entry.offset < 0:
            return b""
        if located.entry.size > limit_bytes:
            raise ImageError(f"/{path.decode()} of the image is larger than {limit_bytes} bytes")
        fd = self.contents(stack, [located])(located)()
        try:
            return os.read(fd, located.entry.size)
        finally:
            os.close(fd)

    def keep_made(self, diff_id: DiffId, digest: Digest, size: int, media_type: str = MEDIA_LAYER) -> Layer:
        """Record a layer that this build has made; its blob and index are in the store."""
        layer = Layer(Descriptor(media_type, digest, size), diff_id)
        self.trust(layer)
        return layer


def _digest_of(path: Path) -> Digest | None:
    """The digest of a file as it is on the disk now; None where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return Digest(hashlib.file_digest(file, "sha256").hexdigest())
    except OSError:
        return None
