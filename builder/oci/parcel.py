"""A blob's file on its way out: any part of it as the body of a request, checked while it is read.

The last bytes are only given when all of the blob, from its first byte on, has the digest that it is sent under. What
changed on the disk therefore never becomes a whole blob elsewhere, whatever the other side checks. A blob is never in
memory as a whole.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from builder.errors import ImageError
from builder.oci.body import Body, Repeat
from builder.oci.source import Progress
from builder.oci.verify import CHUNK_BYTES, open_regular
from builder.values.digest import Digest
from builder.values.image import Descriptor

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Parcel:
    """One blob in the file `path`; `progress` hears up to which byte it has been read. For one request at a time."""

    def __init__(self, path: Path, blob: Descriptor, progress: Progress) -> None:
        self.blob = blob
        self.progress = progress
        self._path = path
        self._hashed = (0, hashlib.sha256())  # up to the end of the last part that was read whole

    def part(self, start: int, end: int) -> Body:
        """The bytes from `start` up to `end` as a body. Reading it raises ImageError where the file is not the blob.

        It is never sent again unasked: the other side may have kept some of it.
        """
        return Body(lambda: self._open(start, end), end - start, Repeat.NEVER)

    def _open(self, start: int, end: int) -> BinaryIO:
        file = open_regular(self._path, f"blob {self.blob.digest}")
        try:
            if os.fstat(file.fileno()).st_size != self.blob.size:
                raise self.changed()
            return io.BufferedReader(_Part(self, file, self._hash_up_to(start, file), end), CHUNK_BYTES)
        except BaseException:
            file.close()
            raise

    def _hash_up_to(self, start: int, file: BinaryIO) -> hashlib._Hash:
        """The state of the hash after `start` bytes; `file` then stands there."""
        at, state = self._hashed if self._hashed[0] <= start else (0, hashlib.sha256())
        state = state.copy()
        file.seek(at)
        while at < start:
            piece = file.read(min(CHUNK_BYTES, start - at))
            if not piece:
                raise self.changed()
            state.update(piece)
            at += len(piece)
        return state

    def finished(self, end: int, state: hashlib._Hash) -> None:
        """Remember how far the hash has come. Raises ImageError at the blob's end if it is not the blob's digest."""
        if end == self.blob.size and Digest(state.hexdigest()) != self.blob.digest:
            raise self.changed()
        self._hashed = (end, state.copy())

    def changed(self) -> ImageError:
        """The error for a file that is no longer what it was."""
        return ImageError(
            f"blob {self.blob.digest} is damaged on the disk and was not sent: {self._path}",
            hint="something changed that file; build or pull the image again",
        )


class _Part(io.RawIOBase):
    """A part of the file, from where `file` stands up to `end`."""

    def __init__(self, parcel: Parcel, file: BinaryIO, state: hashlib._Hash, end: int) -> None:
        self._parcel = parcel
        self._file = file
        self._state = state
        self._at = file.tell()
        self._end = end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        with memoryview(buffer).cast("B") as view:
            piece = self._file.read(min(len(view), self._end - self._at))
            view[: len(piece)] = piece
        if not piece and self._at < self._end:
            raise self._parcel.changed()
        self._state.update(piece)
        self._at += len(piece)
        if piece and self._at == self._end:
            self._parcel.finished(self._end, self._state)
        self._parcel.progress(self._at)
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()
