"""Stacks of layers for tests, packed for real, and how to read files out of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from builder.tree.compress import media_type_of
from builder.tree.flatten import ReadLayer
from builder.tree.index import read_index
from builder.tree.pack import Item, pack_layer
from builder.tree.reader import LayerReader
from builder.tree.view import View
from builder.values.entry import Entry, Kind


def file(path: bytes, data: bytes = b"", mode: int = 0o644) -> Item:
    """A file of a layer."""
    return Item(Entry(path, Kind.FILE, mode, size=len(data), mtime_ns=10**9), data)


def directory(path: bytes, mode: int = 0o755) -> Item:
    """A directory of a layer."""
    return Item(Entry(path, Kind.DIR, mode, mtime_ns=2 * 10**9))


def link(path: bytes, target: bytes) -> Item:
    """A symbolic link."""
    return Item(Entry(path, Kind.SYMLINK, 0o777, link=target))


def hard(path: bytes, target: bytes) -> Item:
    """Another name of a file of the same layer."""
    return Item(Entry(path, Kind.HARDLINK, link=target))


def gone(path: bytes) -> Item:
    """What hides a path of a lower layer."""
    return Item(Entry(path, Kind.WHITEOUT, 0))


def stack(room: Path, layers: Sequence[Sequence[Item]], compression: str = "gzip") -> tuple[View, ReadLayer]:
    """The merged view of these layers, bottom first, and what reads them."""
    readers, indexes = [], []
    for number, items in enumerate(layers):
        blob, index = room / f"blob{number}", room / f"index{number}"
        pack_layer(items, blob, index, compression)
        readers.append(LayerReader(blob, media_type_of(compression)))
        indexes.append(read_index(index))

    def read(number: int, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        return readers[number].stream(entries)

    return View.of(indexes), read
