"""A layer's tar on its way into a blob: hashed, compressed, hashed again. What a tar holds is not known here.

The input is cut into blocks of exactly 1 MiB, because the bytes that isal gives depend on how its input is cut; so the
same tar gives the same blob. From the second block on two threads beside the caller's do the work, one for the hash of
the tar and one for all the rest: each takes the blocks in their order, so nothing depends on how fast they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from builder.errors import UsageError

if TYPE_CHECKING:
    from builder.tree.belt import Belt

BLOCK_BYTES: Final = 1 << 20
"""What a compressor is fed at a time."""


class _Encoder(Protocol):
    def compress(self, block: memoryview) -> bytes | memoryview: ...
    def flush(self) -> bytes: ...


class _Store:
    """The encoder of `none`."""

    def compress(self, block: memoryview) -> memoryview:
        return block

    def flush(self) -> bytes:
        return b""


def _new_encoder(compression: str, level: int) -> _Encoder:
    """`level` -1 is our default: isal 3 (a tenth larger than gzip -6 at a twelfth of its time), zstd 3."""
    if compression == "gzip":
        from builder.tree.deflate import GzipEncoder

        return GzipEncoder(3 if level < 0 else level)
    if compression == "zstd":
        import zstandard

        # threads=0 compresses in the calling thread: a threaded context needs ten times the memory. Neither the size
        # nor a thread count may be given here, because both change the bytes.
        context = zstandard.ZstdCompressor(level=3 if level < 0 else min(level, 22), threads=0)
        return context.compressobj()
    if compression == "none":
        return _Store()
    raise UsageError(f"unknown compression {compression[:50]!r}", hint="it is gzip, zstd or none")


class Compressor:
    """Takes a layer's tar, hashes it, compresses it, hashes the result and hands it to `write`, in one pass.

    `write` is given bytes-like pieces and must take each whole; it may be called in another thread, but never twice at
    a time. `watch` sees each block of the tar before it is compressed. The output depends only on the bytes of the
    input, not on how they were cut into calls. Raises UsageError for an unknown compression, and whatever `write` and
    `watch` raise. Use it in a `with`: leaving that by an error ends the threads.
    """

    def __init__(
        self,
        compression: str,
        level: int,
        write: Callable[[bytes | memoryview], object],
        watch: Callable[[memoryview], object] | None = None,
    ) -> None:
        self._watch = watch
        self._encoder = _new_encoder(compression, level)
        self._write = write
        self._block = memoryview(bytearray(BLOCK_BYTES))
        self._belt: Belt | None = None
        self._filled = 0
        self._passed = 0
        self._raw_hash = hashlib.sha256()
        # Of `none` both hashes are one, and counting it twice would cost half a second a GiB.
        self._hash = None if compression == "none" else hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._belt is not None and error is not None:
            self._belt.abandon()

    @property
    def position(self) -> int:
        """How many uncompressed bytes have been taken."""
        return self._passed + self._filled

    @property
    def raw_sha256(self) -> str:
        """Of the uncompressed bytes, in hex; right after `close`."""
        return self._raw_hash.hexdigest()

    @property
    def sha256(self) -> str:
        """Of the compressed bytes, in hex; right after `close`."""
        return (self._hash or self._raw_hash).hexdigest()

    def write(self, data: bytes | memoryview) -> None:
        """Take `data`."""
        count = len(data)
        if count < BLOCK_BYTES - self._filled:
            self._block[self._filled : self._filled + count] = data
            self._filled += count
            return
        view = memoryview(data)
        while view:
            room = self.room()
            count = min(len(room), len(view))
            room[:count] = view[:count]
            self.filled(count)
            view = view[count:]

    def room(self) -> memoryview:
        """The free part of the current block, never empty: fill the front of it, then call `filled`."""
        return self._block[self._filled :]

    def filled(self, count: int) -> None:
        """The first `count` bytes of `room` now hold input."""
        self._filled += count
        if self._filled == BLOCK_BYTES:
            self._pass_on()

    def close(self) -> None:
        """Take the input as complete and hand out the last of the output."""
        if self._filled:
            self._pass_on()
        if self._belt is not None:
            self._belt.close()
        self._put(self._encoder.flush())

    def _pass_on(self) -> None:
        block = self._block[: self._filled]
        if self._watch is not None:
            self._watch(block)
        if self._belt is not None:
            self._belt.put(block)
        else:
            self._raw_hash.update(block)
            self._encode(block)
        self._passed += self._filled
        if self._filled == BLOCK_BYTES:  # there may be more
            self._block = self._next_block()
        self._filled = 0

    def _next_block(self) -> memoryview:
        if self._belt is None:  # most layers are small: they need no threads, nor the modules for them
            from builder.tree.belt import Belt

            self._belt = Belt((self._raw_hash.update, self._encode), BLOCK_BYTES)
        return self._belt.free()

    def _encode(self, block: memoryview) -> None:
        self._put(self._encoder.compress(block))

    def _put(self, data: bytes | memoryview) -> None:
        if data:
            if self._hash is not None:
                self._hash.update(data)
            self.size += len(data)
            self._write(data)
