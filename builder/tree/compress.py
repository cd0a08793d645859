"""Compression of layers, both ways: gzip, zstd and none; bzip2 and xz for reading only (archives of ADD).

Everything streams, and no input, however hostile, makes a read return more than was asked for or hold more than a few
MiB. The compressing side cuts its input into blocks of exactly 1 MiB, because the bytes that isal gives depend on how
its input is cut; so the same tar gives the same blob. What a tar holds is not known here.
Sources: RFC 1952 (gzip), RFC 8878 (zstd, section 3.1.1).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from builder.errors import ImageError, UsageError
from builder.tree import bounds
from builder.values.image import MEDIA_LAYER, MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES: Final = 1 << 20
"""What a compressor is fed at a time."""

MEDIA_BZIP2: Final = "application/x-bzip2"
MEDIA_XZ: Final = "application/x-xz"
SNIFF_BYTES: Final = 6
"""How many first bytes `sniff` needs."""

_READ_BYTES = 256 << 10
_ISAL_HIGHEST = 3
_GZIP_WINDOW = 31  # zlib.h, deflateInit2: a window of 32 KiB (15), and 16 for gzip's header and trailer
_XZ_MEMORY_BYTES = 256 << 20  # xz -9 needs 65 MiB
_ZSTD_WINDOW_BYTES = 128 << 20  # what `zstd -d` allows without --long
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_MAGICS = (
    (b"\x1f\x8b", MEDIA_LAYER_GZIP),
    (_ZSTD_MAGIC, MEDIA_LAYER_ZSTD),
    (b"BZh", MEDIA_BZIP2),
    (b"\xfd7zXZ\x00", MEDIA_XZ),
)


def sniff(first_bytes: bytes) -> str:
    """The media type that the first bytes of a (perhaps compressed) tar show; no known magic is a plain tar."""
    for magic, media_type in _MAGICS:
        if first_bytes.startswith(magic):
            return media_type
    if first_bytes[1:4] == b"\x2a\x4d\x18" and first_bytes[0] & 0xF0 == 0x50:  # a skippable frame comes first
        return MEDIA_LAYER_ZSTD
    return MEDIA_LAYER


def media_type_of(compression: str) -> str:
    """The media type of a layer packed with `compression` (`gzip`, `zstd` or `none`)."""
    return {"gzip": MEDIA_LAYER_GZIP, "zstd": MEDIA_LAYER_ZSTD, "none": MEDIA_LAYER}[compression]


# --- reading ---------------------------------------------------------------------------------------------------------


def decompressor(media_type: str, raw: BinaryIO) -> BinaryIO:
    """The uncompressed bytes of `raw`, a layer (or an archive) of this media type.

    Reading raises ImageError where the data is damaged, ends too early or expands beyond the limits above; a media type
    that is not known here raises ImageError at once. Closing the result leaves `raw` open.
    """
    source = _Source(raw)
    name = media_type.rpartition("+")[2] if "+" in media_type else media_type
    if name in ("gzip", MEDIA_XZ, MEDIA_BZIP2) or name.endswith(".tar.gzip"):
        pieces = _members(source, "gzip" if "gzip" in name else name)
    elif name == "zstd" or name.endswith(".tar.zstd"):
        pieces = _zstd_pieces(source)
    elif name.endswith(".tar"):
        pieces = _plain_pieces(source)
    else:
        raise ImageError(
            f"a layer has the media type {media_type[:200]!r}, which pybuild cannot read",
            hint="layers are tar archives, plain or compressed with gzip or zstd",
        )
    return io.BufferedReader(_Pieces(_limited(pieces, source)), _READ_BYTES)


class _Source:
    """The compressed bytes, counted."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.count = 0

    def read(self, count: int) -> bytes:
        data = self._raw.read(count)
        self.count += len(data)
        return data


def _limited(pieces: Iterator[bytes], source: _Source) -> Iterator[bytes]:
    """The same pieces, up to the point where no honest layer would give more (CVE-2017-14992)."""
    total = 0
    for piece in pieces:
        total += len(piece)
        bounds.check_growth(total, source.count)
        yield piece


class _Pieces(io.RawIOBase):
    """An iterator of byte strings as a raw stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _plain_pieces(source: _Source) -> Iterator[bytes]:
    while piece := source.read(_READ_BYTES):
        yield piece


class _Member(Protocol):
    """What isal's, bz2's and lzma's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


def _new_member(name: str) -> _Member:
    if name == "gzip":
        from isal import igzip_lib

        member: _Member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        return member
    if name == MEDIA_BZIP2:
        import bz2

        return bz2.BZ2Decompressor()
    import lzma

    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)


def _members(source: _Source, name: str) -> Iterator[bytes]:
    """The content of all members one after the other; zeros after a member are padding (as GNU gzip and xz have it)."""
    first = True
    data = source.read(_READ_BYTES)
    while data or first:
        member = _new_member(name)
        while not member.eof:
            piece = _decompressed(member, data, name)
            data = b""
            if piece:
                yield piece
            if member.needs_input and not member.eof:
                data = source.read(_READ_BYTES)
                if not data:
                    raise _damaged(name, "it ends too early")
        first = False
        data = member.unused_data.lstrip(b"\0")
        while not data and (more := source.read(_READ_BYTES)):
            data = more.lstrip(b"\0")


def _decompressed(member: _Member, data: bytes, name: str) -> bytes:
    try:
        return member.decompress(data, _READ_BYTES)
    except MemoryError:
        raise _damaged(name, "it asks for too much memory") from None
    except Exception as error:  # isal.IsalError, lzma.LZMAError and OSError have no narrower common parent
        raise _damaged(name, str(error)) from error


def _damaged(name: str, what: str) -> ImageError:
    short = name.removeprefix("application/x-")
    return ImageError(f"damaged {short} data: {what}", hint="fetch it again; if it stays so, its source is damaged")


def _zstd_pieces(source: _Source) -> Iterator[bytes]:
    """The content of all frames of `source`.

    A decompressor that takes a long input at once may answer with any amount (a block of 4 bytes can stand for
    128 KiB). So the blocks are found here and handed over one by one, which also shows where a frame is cut short.
    """
    import zstandard

    buffered = io.BufferedReader(_Pieces(_plain_pieces(source)), _READ_BYTES)
    context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    frames = 0
    while (magic := buffered.read(4)) or not frames:
        frames += 1
        if magic[1:] == b"\x2a\x4d\x18" and magic[0] & 0xF0 == 0x50:
            _skip(buffered, int.from_bytes(_exactly(buffered, 4), "little"))
            continue
        if magic != _ZSTD_MAGIC:
            raise _damaged("zstd", "it ends too early" if len(magic) < 4 else "no frame where one should begin")
        frame = context.decompressobj()
        try:
            for block in _zstd_blocks(buffered):
                if piece := frame.decompress(block):
                    yield piece
        except zstandard.ZstdError as error:
            raise _damaged("zstd", str(error)) from error
        if not frame.eof:
            raise _damaged("zstd", "a frame has no end")


def _zstd_blocks(source: BinaryIO) -> Iterator[bytes]:
    """The parts of one frame whose magic has been read: its header, then each block; the checksum is with the last."""
    descriptor = _exactly(source, 1)
    flags = descriptor[0]
    single_segment = flags >> 5 & 1
    content_size_bytes = (single_segment, 2, 4, 8)[flags >> 6]
    yield _ZSTD_MAGIC + descriptor + _exactly(source, 1 - single_segment + (0, 1, 2, 4)[flags & 3] + content_size_bytes)
    last = 0
    while not last:
        header = _exactly(source, 3)
        word = int.from_bytes(header, "little")
        last = word & 1
        size = 1 if word >> 1 & 3 == 1 else word >> 3  # a run is one byte, however long it says it is
        yield header + _exactly(source, size)
    if flags >> 2 & 1:
        yield _exactly(source, 4)


def _exactly(source: BinaryIO, count: int) -> bytes:
    data = source.read(count)
    if len(data) < count:
        raise _damaged("zstd", "it ends too early")
    return data


def _skip(source: BinaryIO, count: int) -> None:
    while count:
        count -= len(_exactly(source, min(count, _READ_BYTES)))


# --- writing ---------------------------------------------------------------------------------------------------------


class _Encoder(Protocol):
    def compress(self, data: memoryview) -> bytes | memoryview: ...
    def flush(self) -> bytes: ...


class _Store:
    """The encoder of `none`."""

    def compress(self, data: memoryview) -> memoryview:
        return data

    def flush(self) -> bytes:
        return b""


def _new_encoder(compression: str, level: int) -> _Encoder:
    """`level` -1 is our default: isal 3 (a tenth larger than gzip -6 at a twelfth of its time), zstd 3."""
    if compression == "gzip":
        return _gzip_encoder(3 if level < 0 else level)
    if compression == "zstd":
        import zstandard

        # threads=0 compresses in the calling thread: a threaded context needs ten times the memory. Neither the size
        # nor a thread count may be given here, because both change the bytes.
        context = zstandard.ZstdCompressor(level=3 if level < 0 else min(level, 22), threads=0)
        return context.compressobj()
    if compression == "none":
        return _Store()
    raise UsageError(f"unknown compression {compression[:50]!r}", hint="it is gzip, zstd or none")


def _gzip_encoder(level: int) -> _Encoder:
    """ISA-L's levels 0 to 3, then zlib's 4 to 9: smaller, and 5 to 50 times slower. No name, mtime 0 (RFC 1952)."""
    if level > _ISAL_HIGHEST:
        import zlib

        return zlib.compressobj(min(level, 9), zlib.DEFLATED, _GZIP_WINDOW)
    from isal import isal_zlib

    encoder: _Encoder = isal_zlib.compressobj(level, isal_zlib.DEFLATED, _GZIP_WINDOW)
    return encoder


class Compressor:
    """Takes a layer's tar, hashes it, compresses it, hashes the result and hands it to `write`, in one pass.

    `write` is given bytes-like pieces and must take each whole; `watch` sees each block of the tar before it is
    compressed. The output depends only on the bytes of the input, not on how they were cut into calls. Raises
    UsageError for an unknown compression, and whatever `write` and `watch` raise.
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
        self._filled = 0
        self._passed = 0
        self._raw_hash = hashlib.sha256()
        self._is_plain = (
            compression == "none"
        )  # then both hashes are one, and counting it twice would cost a second a GB
        self._hash = self._raw_hash if self._is_plain else hashlib.sha256()
        self.size = 0

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
        return self._hash.hexdigest()

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
        self._put(self._encoder.flush())

    def _pass_on(self) -> None:
        block = self._block[: self._filled]
        if self._watch is not None:
            self._watch(block)
        self._raw_hash.update(block)
        self._put(self._encoder.compress(block))
        self._passed += self._filled
        self._filled = 0

    def _put(self, data: bytes | memoryview) -> None:
        if data:
            if not self._is_plain:
                self._hash.update(data)
            self.size += len(data)
            self._write(data)
