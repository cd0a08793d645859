"""Compressed layers as they are read: all of it or an error, never more than was asked for."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tracemalloc
from collections.abc import Callable

import pytest
import zstandard

from builder.errors import ImageError
from builder.tree import compress
from builder.tree.compress import (
    MEDIA_BZIP2,
    MEDIA_XZ,
    decompressor,
    sniff,
)
from builder.values.image import DOCKER_LAYER, DOCKER_LAYER_GZIP, MEDIA_LAYER, MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD
from builder.values.limits import Limits
from tests.support.limited import limited

COMPRESSIONS = ("gzip", "zstd", "none")


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def _zstd_with_checksum(data: bytes) -> bytes:
    context = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compressobj()
    return context.compress(data) + context.flush()


def _zstd_after_skippable(data: bytes) -> bytes:
    return b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc" + _zstd(data)


FORMATS: list[tuple[str, Callable[[bytes], bytes]]] = [
    (MEDIA_LAYER_GZIP, gzip.compress),
    (MEDIA_LAYER_ZSTD, _zstd),
    (MEDIA_LAYER_ZSTD, _zstd_with_checksum),
    (MEDIA_LAYER_ZSTD, _zstd_after_skippable),
    (MEDIA_BZIP2, bz2.compress),
    (MEDIA_XZ, lzma.compress),
]
CHECKED = (gzip.compress, _zstd_with_checksum, bz2.compress, lzma.compress)


def sample(size: int) -> bytes:
    """Bytes that compress about as well as text, always the same."""
    generator = random.Random(7)
    words = [generator.randbytes(generator.randint(2, 12)) for _ in range(500)]
    return b"".join(generator.choices(words, k=size // 6))[:size].ljust(size, b".")


def read(media_type: str, data: bytes) -> bytes:
    return decompressor(media_type, io.BytesIO(data)).read()


@pytest.mark.parametrize(("media_type", "pack"), FORMATS)
def test_reads_several_members(media_type: str, pack: Callable[[bytes], bytes]) -> None:
    """Members one after the other are one content, as pigz, pzstd and cat make them."""
    data = sample(700_000)
    assert read(media_type, pack(data) + pack(b"") + pack(b"tail")) == data + b"tail"


@pytest.mark.parametrize(("media_type", "pack"), FORMATS)
def test_cut_short(media_type: str, pack: Callable[[bytes], bytes]) -> None:
    """Data that ends too early is an error at every place it can be cut, never a short success."""
    data = pack(sample(3000))
    for length in [*range(40), len(data) // 2, len(data) - 5, len(data) - 1]:
        if media_type == MEDIA_LAYER_ZSTD and data[:length] == b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc":
            continue  # skippable frames alone are a whole (if empty) content
        with pytest.raises(ImageError, match="damaged"):
            read(media_type, data[:length])


@pytest.mark.parametrize(("media_type", "pack"), [each for each in FORMATS if each[1] in CHECKED])
def test_changed_content(media_type: str, pack: Callable[[bytes], bytes]) -> None:
    """A flipped bit is noticed by the formats that have a checksum."""
    data = bytearray(pack(sample(100_000)))
    data[len(data) // 2] ^= 0x10
    with pytest.raises(ImageError, match="damaged"):
        read(media_type, bytes(data))


@pytest.mark.parametrize(("media_type", "pack"), FORMATS)
def test_rubbish_behind(media_type: str, pack: Callable[[bytes], bytes]) -> None:
    """What follows the last member and is none itself is an error."""
    with pytest.raises(ImageError, match="damaged"):
        read(media_type, pack(b"x") + b"rubbish")


def test_zeros_behind_gzip() -> None:
    """Zeros after a gzip member are padding."""
    assert read(MEDIA_LAYER_GZIP, gzip.compress(b"x") + bytes(600_000)) == b"x"


@pytest.mark.parametrize(("media_type", "pack"), FORMATS[:2])
def test_bomb_is_read_in_small_pieces(media_type: str, pack: Callable[[bytes], bytes]) -> None:
    """However far data expands, a read returns only what was asked for."""
    stream = decompressor(media_type, io.BytesIO(pack(bytes(200 << 20))))
    assert len(stream.read(1000)) == 1000


def test_bomb_of_runs() -> None:
    """Blocks of four bytes that each stand for 128 KiB do not fill the memory in one read."""
    block = (1 << 1 | (128 << 10) << 3).to_bytes(3, "little") + b"\0"
    bomb = b"\x28\xb5\x2f\xfd\x00\x58" + block * 50_000  # 6 GiB in 200 KB
    tracemalloc.start()
    assert len(decompressor(MEDIA_LAYER_ZSTD, io.BytesIO(bomb)).read(1 << 20)) == 1 << 20
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_expansion_has_limits() -> None:
    """A layer that expands a thousandfold beyond what is free, or beyond the largest size, is refused."""
    bomb = gzip.compress(bytes(8 << 20))
    with limited(Limits(ratio=100, ratio_from_bytes=1 << 20)), pytest.raises(ImageError, match="100 times"):
        read(MEDIA_LAYER_GZIP, bomb)
    with limited(Limits(layer_bytes=1 << 19)), pytest.raises(ImageError, match="larger than 524288 bytes"):
        read(MEDIA_LAYER_GZIP, bomb)


def test_media_types() -> None:
    """Docker's names are known beside OCI's, foreign layers included; another is refused by name."""
    assert read(DOCKER_LAYER_GZIP, gzip.compress(b"x")) == b"x"
    assert read(DOCKER_LAYER, b"x") == b"x"
    assert read("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", _zstd(b"x")) == b"x"
    with pytest.raises(ImageError, match="squashfs"):
        read("application/vnd.example.squashfs", b"x")


def test_sniff() -> None:
    """The first bytes tell the compression; anything else is taken for a plain tar."""
    for media_type, pack in FORMATS:
        assert sniff(pack(b"x")[: compress.SNIFF_BYTES]) == media_type
    assert sniff(b"") == sniff(b"PK\3\4ab") == MEDIA_LAYER
