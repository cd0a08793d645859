"""Layers borrowed for as long as somebody looks at an image.

What the store knows of them is used; what it lacks is fetched into a temporary place and given up at the end. Only an
index that was proven on the way stays in the store, where there is one: it is small, and makes the next look quick.
Nothing here makes a store.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from builder.errors import StoreError
from builder.oci.lanes import Check, carry_all, go_on
from builder.oci.source import ImageSource
from builder.stages.images import FoundImage
from builder.stages.layers import Layers
from builder.store.store import Store
from builder.tree.index import index_of, read_index
from builder.tree.view import View
from builder.values.digest import ChainId, DiffId
from builder.values.entry import Entry
from builder.values.event import Emit, Transfer
from builder.values.image import Descriptor, Layer
from builder.values.stack import Stack


class Borrowed:
    """The layers of the images that one command looks at. Used with `with`, which gives back what was borrowed."""

    def __init__(self, store: Store | None, emit: Emit) -> None:
        self._store = store
        self._kept = None if store is None else Layers(store, emit)
        self._emit = emit
        self._sources: dict[DiffId, tuple[ImageSource, Layer]] = {}
        self._files: dict[DiffId, Path] = {}
        self._indexes: dict[DiffId, list[Entry]] = {}
        self._views: dict[ChainId, View] = {}
        self._given: list[Path] = []
        self._room: tempfile.TemporaryDirectory[str] | None = None
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._alone: dict[DiffId, threading.Lock] = {}

    def learn(self, found: FoundImage) -> None:
        """Remember where this image's layers can be had."""
        if found.source is not None:
            for layer in found.image.layers:
                self._sources.setdefault(layer.diff_id, (found.source, layer))

    def temporary(self) -> Path:
        """A fresh path for a file that is not needed when the looking ends. Raises StoreError."""
        with self._lock:
            if self._store is not None:
                self._given.append(self._store.blobs.temporary())
                return self._given[-1]
            if self._room is None:
                self._room = tempfile.TemporaryDirectory(prefix="pybuild-")
            return Path(self._room.name) / f"f{next(self._numbers)}"

    def ensure(self, layer: Layer) -> Layer:
        """The layer as its blob is at hand, fetched now if it must be. Raises ImageError, StoreError."""
        with self._only_one(layer):
            return self._ensure(layer, go_on)

    def index(self, layer: Layer) -> list[Entry]:
        """The layer's entries. Raises ImageError, StoreError."""
        return self._index(layer, go_on)

    def view(self, stack: Stack) -> View:
        """The merged file system of a stack. Layers that must be fetched for it come several at a time."""
        view = self._views.get(stack.chain)
        if view is None:
            unread = {layer.diff_id: layer for layer in stack.layers if not self._has_index(layer.diff_id)}
            carry_all(list(unread.values()), self._index)
            view = self._views[stack.chain] = View.of([self.index(layer) for layer in stack.layers])
        return view

    @contextmanager
    def reading(self, held: Layer) -> Iterator[Path]:
        """The file of a layer that `ensure` gave, while it is read. Raises StoreError for a blob that the disk has
        damaged."""
        path = self._files.get(held.diff_id)
        if path is not None:
            yield path
            return
        kept = self._store_layers(held)
        with kept.reading(held):
            yield kept.blob_path(held)

    def close(self) -> None:
        """Give back what was borrowed."""
        self._files.clear()
        for path in self._given:
            path.unlink(missing_ok=True)
        self._given.clear()
        if self._room is not None:
            self._room.cleanup()
            self._room = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _has_index(self, diff_id: DiffId) -> bool:
        return diff_id in self._indexes or (self._store is not None and self._store.layers.has_index(diff_id))

    def _only_one(self, layer: Layer) -> threading.Lock:
        with self._lock:
            return self._alone.setdefault(layer.diff_id, threading.Lock())

    def _index(self, layer: Layer, check: Check) -> list[Entry]:
        with self._only_one(layer):
            entries = self._indexes.get(layer.diff_id)
            if entries is None:
                entries = self._kept_index(layer)
                if entries is None:
                    entries = self._made_index(layer, check)
                self._indexes[layer.diff_id] = entries
            return entries

    def _kept_index(self, layer: Layer) -> list[Entry] | None:
        """The index that the store has, or can make of a blob that it has."""
        if self._kept is None:
            return None
        if layer.diff_id in self._sources and not self._is_kept(layer.diff_id):
            return None
        try:
            return self._kept.index(layer)
        except StoreError:
            if layer.diff_id not in self._sources:
                raise
            return None  # damaged there; it can be had anew from outside

    def _is_kept(self, diff_id: DiffId) -> bool:
        """Whether the store can tell the entries of a layer."""
        if self._store is None:
            return False
        return self._store.layers.has_index(diff_id) or self._store.layers.find(diff_id) is not None

    def _made_index(self, layer: Layer, check: Check) -> list[Entry]:
        held = self._ensure(layer, check)
        temporary = self.temporary()
        with self.reading(held) as blob:
            index_of(blob, held.descriptor.media_type, held.diff_id, temporary)
        entries = read_index(temporary)
        if self._store is not None:
            self._store.layers.adopt_index(temporary, held.diff_id)
        else:
            temporary.unlink()
        return entries

    def _ensure(self, layer: Layer, check: Check) -> Layer:
        known = self._sources.get(layer.diff_id)
        if known is None:
            return self._store_layers(layer).ensure(layer)
        if self._store is not None and (record := self._store.layers.find(layer.diff_id)) is not None:
            return Layer(record.descriptor, layer.diff_id)
        source, offered = known
        if layer.diff_id not in self._files:
            path = self.temporary()
            source.fetch(offered.descriptor, path, self._progress(offered.descriptor, check))
            self._files[layer.diff_id] = path
        return offered

    def _store_layers(self, layer: Layer) -> Layers:
        if self._kept is None:
            raise StoreError(f"the layer {layer.descriptor.digest} is missing, and there is no store")
        return self._kept

    def _progress(self, blob: Descriptor, check: Check) -> Callable[[int], None]:
        def report(done: int) -> None:
            check()
            self._emit(Transfer("pull", blob.digest.hex[:12], done, blob.size))

        return report
