"""The merged file system of a stack as one stream of entries with their contents, and as one tar.

Directories come first, parents before what is in them, sorted; then the files layer by layer in the order in which
each layer holds them, so that every layer is read once and nothing is kept but the table of names; a file's further
names follow it as hard links; then links and special files, sorted. The order depends on the layers alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO

from builder.tree.tarwrite import END_OF_ARCHIVE, header, padding
from builder.tree.view import Located, View
from builder.values.entry import Entry, Kind

Content = Iterable[bytes]
"""A file's content in pieces, to be used up before the next entry is asked for."""

ReadLayer = Callable[[int, Sequence[Entry]], Iterator[tuple[Entry, Iterator[bytes]]]]
"""Gives files of the layer of a number (0 is the bottom) with their contents, in the layer's order."""

_Names = dict[bytes, list[Located]]


def flattened(view: View, read: ReadLayer) -> Iterator[tuple[Entry, Content]]:
    """All that the view holds but the root itself. Raises whatever `read` raises."""
    files: dict[int, _Names] = {}
    others: list[Entry] = []
    for located in view.walk(b""):
        kind = located.entry.kind
        if kind is Kind.FILE:
            files.setdefault(located.layer, {}).setdefault(located.first_name, []).append(located)
        elif kind is not Kind.DIR:
            others.append(located.entry)
        elif located.entry.path:
            yield located.entry, ()
    for number in sorted(files):
        yield from _files(files.pop(number), number, read)
    for entry in others:
        yield entry, ()


def _files(names: _Names, number: int, read: ReadLayer) -> Iterator[tuple[Entry, Content]]:
    """The files of one layer, each under the first of its names that is left, and then its other names."""
    for entry, content in read(number, [located[0].content_of for located in names.values()]):
        first, *more = names.pop(entry.path)
        yield first.entry, content
        for located in more:
            other = located.entry
            yield other._replace(kind=Kind.HARDLINK, size=0, link=first.entry.path, xattrs=(), offset=-1), ()


def write_tar(items: Iterable[tuple[Entry, Content]], out: BinaryIO) -> None:
    """Write the entries as one tar. Raises ImageError for what a tar cannot hold, OSError where `out` takes no more."""
    for entry, content in items:
        out.write(header(entry))
        for piece in content:
            out.write(piece)
        if entry.size % 512:
            out.write(padding(entry.size))
    out.write(END_OF_ARCHIVE)
    out.flush()
