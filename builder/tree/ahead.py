"""A stream read ahead, on a thread of its own: its bytes are decompressed and hashed while others of them are put away.

Decompressing, hashing and writing all let other threads run, so a layer takes the time of the longer half of its work,
and not of both. How far ahead the thread may be is bounded: memory does not grow with the stream.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from types import TracebackType
from typing import Final, Self

from builder.tree.tarformat import Readable

_PIECE_BYTES: Final = 256 << 10
_PIECES: Final = 16  # ahead at most: 4 MiB bridge a directory full of small files


class Ahead:
    """Reads `stream` to its end. One thread may read from it; closed by `with`, which waits for the thread.

    What `stream` raises is raised by the read that comes to that place.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._pieces: SimpleQueue[bytes | BaseException] = SimpleQueue()
        self._room = threading.Semaphore(_PIECES)
        self._rest = b""
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._room.release()
        self._thread.join()

    def read(self, count: int, /) -> bytes:
        """The next bytes, at most `count`; b"" at the end of the stream."""
        if not self._rest:
            self._rest = self._next()
        piece, self._rest = self._rest[:count], self._rest[count:]
        return piece

    def drain(self) -> None:
        """Let go what is left, up to the end of the stream."""
        self._rest = b""
        while self._next():
            pass

    def _next(self) -> bytes:
        piece = self._pieces.get()
        if isinstance(piece, BaseException):
            self._pieces.put(piece)  # whoever asks again gets the same
            raise piece
        if piece:
            self._room.release()
        else:
            self._pieces.put(piece)
        return piece

    def _run(self) -> None:
        try:
            while True:
                self._room.acquire()
                if self._is_over:
                    return
                piece = self._stream.read(_PIECE_BYTES)
                self._pieces.put(piece)
                if not piece:
                    return
        except BaseException as error:  # whatever it is, it is raised where the stream is read
            self._pieces.put(error)
