"""A stream of entries with their content becomes a layer: one pass gives the blob, both digests and the index.

What goes in, and in which order, is the caller's choice; only what is given is written. Where content comes from is
not known here beyond a descriptor to read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from builder.errors import ContextError
from builder.tree.compressor import Compressor
from builder.tree.index import IndexWriter
from builder.tree.tarwrite import END_OF_ARCHIVE, header, padding, tar_name
from builder.values.digest import DiffId, Digest
from builder.values.entry import Entry, Kind

Watch = Callable[[memoryview], object]
"""What sees the blocks of a tar, one after the other; it must not change them."""
EMPTY_SHA256: Final = hashlib.sha256().hexdigest()


class Unread(Protocol):
    """A file that nobody has read yet: packing it is how its digest is learnt."""

    def open(self) -> int:
        """A descriptor positioned at the content."""

    def learn(self, fd: int, digest: str) -> None:
        """The content was read from this descriptor whole, and has this sha256 (hex). May refuse it by raising."""


Content = bytes | Callable[[], int] | Unread | None
"""What is in a file: bytes, or a function that opens a descriptor positioned at them; None for what has no content."""


class Item(NamedTuple):
    """An entry and its content.

    A descriptor is read for exactly `entry.size` bytes and closed. Where `entry.digest` is not empty the content must
    have it.
    """

    entry: Entry
    content: Content = None


class Packed(NamedTuple):
    """A packed layer; `size` is the blob's in bytes."""

    diff_id: DiffId
    digest: Digest
    size: int
    entries: int


def pack_layer(items: Iterable[Item], blob: Path, index: Path, compression: str, level: int = -1) -> Packed:
    """Write `items` as a layer into the new file `blob` and its index into the new file `index`, neither synced.

    `level` -1 is the compression's default. The same items give the same bytes. Raises ContextError where a content is
    shorter than its entry says or has another digest, ValueError for a name given twice, ImageError for what a tar
    cannot hold. On any error neither file stays.
    """
    return pack_watched(items, (blob, index), compression, level, None)


def pack_watched(
    items: Iterable[Item], files: tuple[Path, Path], compression: str, level: int, watch: Watch | None
) -> Packed:
    """The same, into a blob and an index; `watch` sees the layer's tar as it goes by."""
    blob, index = files
    made: list[Path] = []
    try:
        with open(blob, "xb", buffering=0) as file:
            made.append(blob)
            with IndexWriter(index) as rows:
                made.append(index)
                with Compressor(compression, level, _whole_writer(file.fileno()), watch) as tar:
                    return _packed(items, tar, rows)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise


def _packed(items: Iterable[Item], tar: Compressor, rows: IndexWriter) -> Packed:
    _write_items(items, tar, rows)
    tar.write(END_OF_ARCHIVE)
    tar.close()
    diff_id = DiffId(tar.raw_sha256)
    rows.finish(diff_id)
    return Packed(diff_id, Digest(tar.sha256), tar.size, rows.entries)


def _whole_writer(fd: int) -> Callable[[bytes | memoryview], None]:
    def write(data: bytes | memoryview) -> None:
        count = os.write(fd, data)
        while count < len(data):
            data = memoryview(data)[count:]
            count = os.write(fd, data)

    return write


def _write_items(items: Iterable[Item], tar: Compressor, rows: IndexWriter) -> None:
    names: set[bytes] = set()
    for entry, content in items:
        name = tar_name(entry).rstrip(b"/")
        if name in names:
            raise ValueError(f"the path {entry.path!r} is given twice")
        names.add(name)
        tar.write(header(entry))
        if entry.kind is Kind.FILE:
            offset = tar.position
            digest = _write_content(tar, entry, content)
            if entry.digest and entry.digest != digest:
                raise changed(entry)
            entry = entry._replace(offset=offset, digest=digest)
        rows.add(entry)


def _write_content(tar: Compressor, entry: Entry, content: Content) -> str:
    """Write a file's content and its padding; the content's sha256 in hex."""
    if content is None or isinstance(content, bytes):
        data = content or b""
        if len(data) != entry.size:
            raise ValueError(f"the content of {entry.path!r} has {len(data)} bytes and not {entry.size}")
        tar.write(data)
        digest = hashlib.sha256(data).hexdigest()
    elif callable(content):
        fd = content()
        try:
            digest = _copy_from(fd, tar, entry)
        finally:
            os.close(fd)
    else:
        fd = content.open()
        try:
            digest = _copy_from(fd, tar, entry)
            content.learn(fd, digest)
        finally:
            os.close(fd)
    if entry.size % 512:
        tar.write(padding(entry.size))
    return digest


def _copy_from(fd: int, tar: Compressor, entry: Entry) -> str:
    """Copy exactly the entry's size, read straight into the compressor's block; the content's sha256 in hex."""
    left = entry.size
    content_hash = hashlib.sha256()
    while left:
        room = tar.room()[:left]
        count = os.readv(fd, (room,))
        if not count:
            raise changed(entry)
        content_hash.update(room[:count])
        tar.filled(count)
        left -= count
    return content_hash.hexdigest()


def changed(entry: Entry) -> ContextError:
    """The error for a file whose content is not what its entry says."""
    path = entry.path.decode("utf-8", "backslashreplace")
    return ContextError(f"{path} changed while it was read", hint="build again when nothing writes to it")
