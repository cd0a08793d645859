"""Content of a layer's files without unpacking it: by the offsets of its index, in one sequential pass.

A plain tar is read where it lies. A compressed one is decompressed up to the last wanted file, and what is wanted is
copied to a nameless temporary file. What comes out is verified against the digests of the index.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from builder.errors import ImageError, StoreError
from builder.tree.compress import decompressor
from builder.tree.safe import shown
from builder.values.entry import Entry

Opener = Callable[[Entry], int]
"""Gives a descriptor, which the caller closes, positioned at the content of the entry (`entry.size` bytes)."""

_CHUNK_BYTES = 1 << 20


class LayerReader:
    """Reads files out of the layer in the file `blob`."""

    def __init__(self, blob: Path, media_type: str) -> None:
        self._blob = blob
        self._media_type = media_type

    def spool(self, entries: Sequence[Entry], into: Path) -> Opener:
        """Make the content of these files (entries of this layer's index) ready; returns what opens them.

        `into` is a directory with room for them. The room is given back when the opener is no longer used; descriptors
        from it stay good. Raises ImageError for a damaged layer, StoreError where it cannot be read or kept.
        """
        wanted = {entry.offset: entry for entry in entries if entry.size}
        in_order = [wanted[offset] for offset in sorted(wanted)]
        try:
            if self._media_type.endswith(".tar"):
                return self._in_place(in_order)
            spool = _Spool(into)
            return _opener(spool.held, self._copied(in_order, spool))
        except OSError as error:
            hint = "free some room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
            what = f"cannot take files out of layer {self._blob.name}: {os.strerror(error.errno or 0)}"
            raise StoreError(what, hint=hint) from error

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """The content of one file (an entry of this layer's index) piece by piece, as it is read; nothing is kept.

        Damage to it is known only at its end: who must not use a byte of a damaged file takes `spool`. Raises as that.
        """
        try:
            with open(self._blob, "rb") as raw, decompressor(self._media_type, raw) as stream:
                yield from self._verified(stream, entry)
        except OSError as error:
            raise StoreError(f"cannot read layer {self._blob.name}: {os.strerror(error.errno or 0)}") from error

    def _verified(self, stream: BinaryIO, entry: Entry) -> Iterator[bytes]:
        for _ in _chunks(stream, entry.offset):
            pass
        hasher = hashlib.sha256()
        count = 0
        for chunk in _chunks(stream, entry.size):
            hasher.update(chunk)
            count += len(chunk)
            yield chunk
        if count < entry.size or entry.digest not in ("", hasher.hexdigest()):
            raise self._damaged(entry)

    def _in_place(self, entries: list[Entry]) -> Opener:
        fd = os.open(self._blob, os.O_RDONLY | os.O_CLOEXEC)
        held = _Held(fd)
        size = os.fstat(fd).st_size
        for entry in entries:
            if entry.offset + entry.size > size:
                raise self._damaged(entry)
        return _opener(held, {entry.offset: entry.offset for entry in entries})

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        """These files (entries of this layer's index) in the layer's order, each with its content in pieces.

        The layer is read once, up to the last of them. The pieces of a file are verified when they have all been taken,
        and must have been before the next file is. Raises ImageError for a damaged layer, OSError as the disk gives it.
        """
        position = 0
        with open(self._blob, "rb") as raw, decompressor(self._media_type, raw) as tar:
            for entry in sorted(entries, key=_offset_of):
                if entry.size:
                    if entry.offset < position:
                        raise self._damaged(entry)
                    for _ in _chunks(tar, entry.offset - position):
                        pass
                    position = entry.offset + entry.size
                yield entry, self._content(tar, entry)

    def _content(self, tar: BinaryIO, entry: Entry) -> Iterator[bytes]:
        """The next bytes of the tar, which must be the entry's content."""
        hasher = hashlib.sha256()
        count = 0
        for chunk in _chunks(tar, entry.size):
            hasher.update(chunk)
            count += len(chunk)
            yield chunk
        if count < entry.size or entry.digest not in ("", hasher.hexdigest()):
            raise self._damaged(entry)

    def _copied(self, entries: list[Entry], spool: _Spool) -> dict[int, int]:
        """Copy the content of the entries; where each begins in the spool, by its offset in the layer."""
        places: dict[int, int] = {}
        for entry, content in self.stream(entries):
            places[entry.offset] = spool.size
            for piece in content:
                spool.write(piece)
        return places

    def _damaged(self, entry: Entry) -> ImageError:
        return ImageError(
            f"layer {self._blob.name} is damaged: {shown(entry.path)} in it is not what its index says",
            hint="build again with --pull and --no-cache",
        )


def _offset_of(entry: Entry) -> int:
    return entry.offset


def _chunks(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """The next `size` bytes of a stream in pieces; fewer where it ends."""
    while size and (chunk := stream.read(min(size, _CHUNK_BYTES))):
        size -= len(chunk)
        yield chunk


class _Held:
    """A descriptor that is closed when nobody holds this any longer."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class _Spool:
    """A temporary file without a name, written once from its start."""

    def __init__(self, directory: Path) -> None:
        path = directory / f"spool-{os.urandom(8).hex()}"
        self.held = _Held(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.unlink(path)
        self.size = 0

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.held.fd, view) :]
        self.size += len(data)


def _opener(held: _Held, places: dict[int, int]) -> Opener:
    def open_entry(entry: Entry) -> int:
        # Through /proc and not by dup(2): a duplicate would share its position with all others.
        fd = os.open(f"/proc/self/fd/{held.fd}", os.O_RDONLY | os.O_CLOEXEC)
        os.lseek(fd, places[entry.offset] if entry.size else 0, os.SEEK_SET)
        return fd

    return open_entry
