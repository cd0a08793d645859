"""What a request sends: bytes, or a stream that can be opened again for each attempt."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from enum import Enum
from typing import BinaryIO

from builder.declare import dataclass

_CHUNK_BYTES = 256 << 10
_IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE")  # RFC 9110, 9.2.2


class Repeat(Enum):
    """Whether a request is sent again after an answer or a break that leaves open whether the server carried it out."""

    AS_METHOD = "where HTTP calls the method idempotent"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Body:
    """A body of `size` bytes; `open` gives a fresh stream at its beginning for each attempt, which is closed after it.

    A size that the stream does not keep is an error of the request. A `secret` body is for the first server alone.
    """

    open: Callable[[], BinaryIO]
    size: int
    repeat: Repeat = Repeat.AS_METHOD
    secret: bool = False

    @classmethod
    def of(cls, data: bytes, repeat: Repeat = Repeat.AS_METHOD) -> Body:
        """A body that is in memory."""
        return cls(lambda: io.BytesIO(data), len(data), repeat)

    @classmethod
    def of_secret(cls, data: bytes) -> Body:
        """A body in memory that no redirect may carry to another server; sending it twice does no harm."""
        return cls(lambda: io.BytesIO(data), len(data), Repeat.ALWAYS, secret=True)


def may_repeat(method: str, body: Body) -> bool:
    """Whether a request may be sent again without knowing what became of it."""
    return body.repeat is Repeat.ALWAYS or (body.repeat is Repeat.AS_METHOD and method in _IDEMPOTENT)


class Outgoing:
    """A body on its way, piece by piece. `late` gives the error to end with when there is no time left.

    The pieces are larger than the 16 KiB that http.client would read from a file.
    """

    def __init__(self, file: BinaryIO, size: int, late: Callable[[], Exception | None]) -> None:
        self._file = file
        self._size = size
        self._late = late

    def __iter__(self) -> Iterator[bytes]:
        left = self._size
        while left:
            late = self._late()
            if late is not None:
                raise late
            piece = self._file.read(min(_CHUNK_BYTES, left))
            if not piece:
                raise EOFError(f"what is to be sent is {left} bytes shorter than announced")
            left -= len(piece)
            yield piece
