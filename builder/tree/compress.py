"""Compressed layers as they are read: gzip, zstd and none; bzip2 and xz too, for archives of ADD.

Everything streams, and no input, however hostile, makes a read return more than was asked for or hold more than a few
MiB. What a tar holds is not known here.
Sources: RFC 1952 (gzip), RFC 8878 (zstd, section 3.1.1).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from builder.errors import ImageError
from builder.tree import bounds
from builder.values.image import MEDIA_LAYER, MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MEDIA_BZIP2: Final = "application/x-bzip2"
MEDIA_XZ: Final = "application/x-xz"
SNIFF_BYTES: Final = 6
"""How many first bytes `sniff` needs."""

_READ_BYTES = 256 << 10
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
