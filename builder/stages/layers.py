"""Layers at hand: fetched when they are first needed, several at a time; their indexes; the merged view of a stack.

Nothing here unpacks: questions about an image's files are answered from its layers' indexes.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from builder.errors import ImageError, StoreError
from builder.oci.lanes import Carry, Check, carry_all, go_on, lanes
from builder.oci.source import ImageSource
from builder.stages.arrivals import Arrivals
from builder.stages.images import FoundImage
from builder.store.store import Store
from builder.values.digest import ChainId, DiffId, Digest
from builder.values.entry import Entry
from builder.values.event import Emit
from builder.values.image import MEDIA_LAYER, Descriptor, Layer
from builder.values.record import LayerRecord
from builder.values.stack import Stack

if TYPE_CHECKING:
    from builder.tree.view import Located, View

_VIEWS = 8
"""How many merged views are kept: each is a table of all names of an image, and a step wants the one below its own."""


class Layers:
    """The layers of one build: those of the store, and those that the images found so far can give.

    May be used from several threads.
    """

    def __init__(self, store: Store, emit: Emit) -> None:
        self._store = store
        self._arrivals = Arrivals(store, emit)
        self._sources: dict[DiffId, tuple[ImageSource, Layer]] = {}
        self._indexes: dict[DiffId, list[Entry]] = {}
        self._views: dict[ChainId, View] = {}
        self._small: dict[tuple[DiffId, Entry], bytes] = {}
        self._busy: dict[DiffId | ChainId, threading.Lock] = {}  # who reads a layer, or merges a stack, does it alone
        self._lock = threading.Lock()

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
        return self._ensure(layer, go_on)

    def prove(self, layer: Layer) -> Layer:
        """The same, and the diff-id is known to be true: for what goes into an image. Raises ImageError, StoreError."""
        return self._prove(layer, go_on)

    def ensure_all(self, layers: Sequence[Layer]) -> tuple[Layer, ...]:
        """`ensure` for all of these, several at a time. The first error ends it and is the one raised."""
        return self._all(layers, self._at_hand, self._ensure)

    def prove_all(self, layers: Sequence[Layer]) -> tuple[Layer, ...]:
        """`prove` for all of these, several at a time: one is read while others still come."""
        return self._all(layers, self._proven, self._prove)

    def absent(self, layers: Sequence[Layer]) -> tuple[Layer, ...]:
        """Those of these layers that are not in the store and can be fetched."""
        return tuple(
            layer
            for layer in layers
            if layer.diff_id in self._sources
            and not self._arrivals.is_here(self._offered(layer).descriptor)
            and self._proven(layer) is None
        )

    @contextmanager
    def arriving(self, layers: Sequence[Layer]) -> Iterator[Callable[[int], Layer]]:
        """Begin to fetch these; inside the block the given function waits for the one of a number and gives it."""
        with lanes(layers, self._ensure) as arrived:
            yield arrived

    def _all(
        self,
        layers: Sequence[Layer],
        find: Callable[[Layer], Layer | None],
        carry: Carry[Layer, Layer],
    ) -> tuple[Layer, ...]:
        """What `find` finds, and what `carry` brings for all others."""
        held = {layer.diff_id: find(layer) for layer in layers}
        missing = list({layer.diff_id: layer for layer in layers if held[layer.diff_id] is None}.values())
        if missing:  # a build that has all of its layers starts no thread
            held.update(zip((layer.diff_id for layer in missing), carry_all(missing, carry), strict=True))
        return tuple(found for layer in layers if (found := held[layer.diff_id]) is not None)

    def _proven(self, layer: Layer) -> Layer | None:
        """The layer whose diff-id somebody has checked, if it is in the store."""
        record = self._store.layers.find(layer.diff_id)
        return None if record is None else Layer(record.descriptor, layer.diff_id)

    def _at_hand(self, layer: Layer) -> Layer | None:
        """The layer whose blob is in the store, if it is."""
        proven = self._proven(layer)
        if proven is not None:
            return proven
        held = self._offered(layer)
        return held if self._arrivals.is_here(held.descriptor) else None

    def _offered(self, layer: Layer) -> Layer:
        """The layer as its source has it: another image may hold the same one compressed in another way."""
        source = self._sources.get(layer.diff_id)
        return layer if source is None else source[1]

    def _ensure(self, layer: Layer, check: Check) -> Layer:
        found = self._at_hand(layer)
        if found is not None:
            return found
        known = self._sources.get(layer.diff_id)
        if known is None:
            raise StoreError(
                f"the layer {layer.descriptor.digest} is missing from the store",
                hint="build again with --pull and --no-cache, or remove the image that needs it",
            )
        source, held = known
        self._arrivals.bring(held.descriptor, source, check)
        return held

    def _prove(self, layer: Layer, check: Check) -> Layer:
        held = self._ensure(layer, check)
        with self._alone(layer.diff_id):
            proven = self._proven(layer)
            if proven is not None:
                return proven
            check()
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

    def index(self, layer: Layer) -> list[Entry]:
        """The layer's entries; read from its blob once if the store has no index of it."""
        return self._index(layer, go_on)

    def _index(self, layer: Layer, check: Check) -> list[Entry]:
        with self._alone(layer.diff_id):
            entries = self._indexes.get(layer.diff_id)
            if entries is None:
                check()
                entries = self._indexes[layer.diff_id] = self._read_index(layer, check)
            return entries

    def _read_index(self, layer: Layer, check: Check) -> list[Entry]:
        from builder.tree.index import read_index  # with all that reads a tar: few cached builds look into a layer

        if not self._has_index(layer):
            self._make_index(self._ensure(layer, check))
        path = self._store.layers.index_path(layer.diff_id)
        try:
            return read_index(path)
        except StoreError:  # damaged on the disk: everything in it stands in the blob too
            self._store.layers.discard_index(layer.diff_id)
            self._make_index(self._ensure(layer, check))
            return read_index(path)

    def _alone(self, what: DiffId | ChainId) -> threading.Lock:
        with self._lock:
            return self._busy.setdefault(what, threading.Lock())

    def _make_index(self, held: Layer) -> None:
        from builder.tree.index import index_of

        temporary = self._store.blobs.temporary()
        with self.reading(held):
            index_of(self.blob_path(held), held.descriptor.media_type, held.diff_id, temporary)
        self._store.layers.adopt_index(temporary, held.diff_id)
        self.trust(held)

    def view(self, stack: Stack) -> View:
        """The merged file system of a stack."""
        view = self._views.get(stack.chain)
        if view is not None:
            return view
        with self._alone(stack.chain):
            view = self._views.get(stack.chain)
            if view is None:
                view = self._merged(stack)
                with self._lock:
                    self._views[stack.chain] = view
                    if len(self._views) > _VIEWS:
                        del self._views[next(iter(self._views))]
            return view

    def _merged(self, stack: Stack) -> View:
        from builder.tree.view import View

        below = self._views.get(stack.chains()[-2]) if len(stack.layers) > 1 else None
        if below is not None:  # a step later only that step's layer is new
            return below.under(self.index(stack.layers[-1]))
        # Where there is no index, the layer must be read: that is worth a thread, looking up a table is not.
        carry_all([layer for layer in stack.layers if not self._has_index(layer)], self._index)
        return View.of([self.index(layer) for layer in stack.layers])

    def _has_index(self, layer: Layer) -> bool:
        return self._store.layers.has_index(layer.diff_id)

    def contents(self, stack: Stack, wanted: list[Located]) -> Callable[[Located], Callable[[], int]]:
        """Openers for the contents of files of a stack: one pass over each layer that holds any of them."""
        from builder.tree.reader import LayerReader

        by_layer: dict[int, list[Entry]] = {}
        for located in wanted:
            by_layer.setdefault(located.layer, []).append(located.entry)
        spools = {}
        # That the index is of this blob, too: it may have come from an honest image, and the blob from one that lies.
        at_hand = self.prove_all([stack.layers[number] for number in by_layer])
        for held, (number, entries) in zip(at_hand, by_layer.items(), strict=True):
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
        place = (stack.layers[located.layer].diff_id, located.content_of)
        if place not in self._small:  # asked before each RUN, and deep in a large layer
            fd = self.contents(stack, [located])(located)()
            try:
                self._small[place] = os.read(fd, located.entry.size)
            finally:
                os.close(fd)
        return self._small[place]

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
