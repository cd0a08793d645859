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

    def _in_place(self, entries: list[Entry]) -> Opener:
        fd = os.open(self._blob, os.O_RDONLY | os.O_CLOEXEC)
        held = _Held(fd)
        size = os.fstat(fd).st_size
        for entry in entries:
            if entry.offset + entry.size > size:
                raise self._damaged(entry)
        return _opener(held, {entry.offset: entry.offset for entry in entries})

    def _copied(self, entries: list[Entry], spool: _Spool) -> dict[int, int]:
        """Copy the content of the entries; where each begins in the spool, by its offset in the layer."""
        places: dict[int, int] = {}
        position = 0
        with open(self._blob, "rb") as raw, decompressor(self._media_type, raw) as stream:
            for entry in entries:
                if entry.offset < position:
                    raise self._damaged(entry)
                for _ in _chunks(stream, entry.offset - position):
                    pass
                places[entry.offset] = spool.size
                hasher = hashlib.sha256()
                copied = 0
                for chunk in _chunks(stream, entry.size):
                    hasher.update(chunk)
                    spool.write(chunk)
                    copied += len(chunk)
                if copied < entry.size or entry.digest not in ("", hasher.hexdigest()):
                    raise self._damaged(entry)
                position = entry.offset + entry.size
        return places

    def _damaged(self, entry: Entry) -> ImageError:
        return ImageError(
            f"layer {self._blob.name} is damaged: {shown(entry.path)} in it is not what its index says",
            hint="build again with --pull and --no-cache",
        )


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
