"""gzip as it is written: one member, deflated by ISA-L or zlib, and stored as it is where it does not compress.

What is random, encrypted or compressed already costs a compressor the most time and gains nothing. So a few samples of
each block are compressed first; a block whose samples do not shrink goes into stored blocks. The decision looks at the
block's bytes alone, so the same input in the same blocks gives the same output.
Sources: RFC 1951, section 3.2.4 (stored blocks); RFC 1952 (gzip); zlib.h (Z_SYNC_FLUSH).
"""

from __future__ import annotations

from typing import Final, Protocol

from isal import isal_zlib

ISAL_HIGHEST: Final = 3
"""The highest of ISA-L's levels; those above are zlib's."""

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, no word on level and operating system
_EMPTY_LAST_BLOCK = b"\x03\x00"  # RFC 1951, section 3.2.6: last, fixed codes, end of block
_RAW = -15  # zlib.h, deflateInit2: a window of 32 KiB and neither header nor trailer
_SYNC_FLUSH = isal_zlib.Z_SYNC_FLUSH
_FINISH = isal_zlib.Z_FINISH
_STORED_BYTES = 65_535  # the most that one stored block holds
_SAMPLE_BYTES = 4096
_SAMPLE_EVERY_BYTES = 64 << 10
_WORTH = 0.97
"""Samples that stay larger than this share of their size do not compress. With one sample in sixteen that is text they
already shrink further."""


class _Deflate(Protocol):
    def compress(self, data: memoryview, /) -> bytes: ...
    def flush(self, mode: int = ..., /) -> bytes: ...


class GzipEncoder:
    """Takes blocks, gives gzip. The output depends on the bytes and on where the blocks end."""

    def __init__(self, level: int) -> None:
        """ISA-L's levels 0 to 3, then zlib's 4 to 9: smaller, and 5 to 50 times slower."""
        self._level = level
        self._deflate: _Deflate | None = None  # none after stored blocks: its window would not be the reader's
        self._checksum = 0
        self._size = 0

    def compress(self, block: memoryview) -> bytes:
        """The next part of the output."""
        pieces: list[bytes | memoryview] = [] if self._size else [_HEADER]
        self._checksum = isal_zlib.crc32(block, self._checksum)
        self._size += len(block)
        if _compresses(block):
            self._deflate = self._deflate or self._new()
            pieces.append(self._deflate.compress(block))
        else:
            if self._deflate is not None:
                pieces.append(self._deflate.flush(_SYNC_FLUSH))
                self._deflate = None
            pieces += _stored(block)
        return b"".join(pieces)

    def flush(self) -> bytes:
        """The end of the output."""
        start = b"" if self._size else _HEADER
        end = _EMPTY_LAST_BLOCK if self._deflate is None else self._deflate.flush(_FINISH)
        trailer = self._checksum.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        return start + end + trailer

    def _new(self) -> _Deflate:
        if self._level > ISAL_HIGHEST:
            import zlib

            return zlib.compressobj(min(self._level, 9), zlib.DEFLATED, _RAW)
        return isal_zlib.compressobj(self._level, isal_zlib.DEFLATED, _RAW)


def _compresses(block: memoryview) -> bool:
    """Whether it is worth while to compress a block: samples of it, taken at equal distances, shrink."""
    if len(block) < _SAMPLE_EVERY_BYTES:
        return True  # costs next to nothing
    samples = b"".join([block[at : at + _SAMPLE_BYTES] for at in range(0, len(block), _SAMPLE_EVERY_BYTES)])
    return len(isal_zlib.compress(samples, 1)) < _WORTH * len(samples)


def _stored(block: memoryview) -> list[bytes | memoryview]:
    """The bytes as they are, in blocks none of which is the last."""
    pieces: list[bytes | memoryview] = []
    for at in range(0, len(block), _STORED_BYTES):
        part = block[at : at + _STORED_BYTES]
        size = len(part)
        pieces += [b"\0" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little"), part]
    return pieces
