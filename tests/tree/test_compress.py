"""Compression both ways: the same bytes however the input is cut, and clear errors for damaged or hostile data."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import random
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import ImageError, UsageError
from builder.tree import compress
from builder.tree.compress import (
    BLOCK_BYTES,
    MEDIA_BZIP2,
    MEDIA_XZ,
    Compressor,
    decompressor,
    media_type_of,
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


def packed(data: bytes, compression: str, cuts: list[int], level: int = -1) -> tuple[bytes, Compressor]:
    """`data` compressed, given in pieces that end at `cuts`."""
    out = bytearray()
    compressor = Compressor(compression, level, out.extend)
    at = 0
    for cut in [*sorted(cuts), len(data)]:
        compressor.write(data[at:cut])
        at = max(at, cut)
    compressor.close()
    return bytes(out), compressor


def read(media_type: str, data: bytes) -> bytes:
    return decompressor(media_type, io.BytesIO(data)).read()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_same_bytes_however_cut(compression: str) -> None:
    """The compressed bytes do not depend on how the input was cut into writes."""
    data = sample(3 * BLOCK_BYTES + 12345)
    whole, _ = packed(data, compression, [])
    for step in (511, 4096, BLOCK_BYTES - 1, BLOCK_BYTES + 1):
        assert packed(data, compression, list(range(step, len(data), step)))[0] == whole


def test_same_bytes_at_zlibs_levels() -> None:
    """So it is at the gzip levels that are zlib's, which are read back like the others."""
    data = sample(2 * BLOCK_BYTES + 12345)
    whole, _ = packed(data, "gzip", [], 9)
    assert packed(data, "gzip", list(range(4096, len(data), 4096)), 9)[0] == whole
    assert read(media_type_of("gzip"), whole) == data


@given(
    data=st.binary(max_size=5000), cuts=st.lists(st.integers(0, 5000), max_size=5), name=st.sampled_from(COMPRESSIONS)
)
def test_law_round_trip(data: bytes, cuts: list[int], name: str) -> None:
    """What is compressed is read back, and the hashes and counts are those of what went in and came out."""
    out, compressor = packed(data, name, [min(cut, len(data)) for cut in cuts])
    assert read(media_type_of(name), out) == data
    assert compressor.raw_sha256 == hashlib.sha256(data).hexdigest()
    assert compressor.sha256 == hashlib.sha256(out).hexdigest()
    assert (compressor.size, compressor.position) == (len(out), len(data))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_room_is_as_good_as_write(compression: str) -> None:
    """Input that is put straight into the block gives the same bytes."""
    data = sample(BLOCK_BYTES + 77)
    out = bytearray()
    compressor = Compressor(compression, -1, out.extend)
    compressor.write(data[:10])
    at = 10
    while at < len(data):
        room = compressor.room()
        count = min(len(room), len(data) - at, 50_000)
        room[:count] = data[at : at + count]
        compressor.filled(count)
        at += count
    compressor.close()
    assert bytes(out) == packed(data, compression, [])[0]


def test_gzip_names_nobody_and_no_time() -> None:
    """The gzip header has no time and no name."""
    assert packed(b"x", "gzip", [])[0][:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    assert packed(b"x", "gzip", [], 9)[0][:8] == b"\x1f\x8b\x08\0\0\0\0\0"


def test_levels() -> None:
    """Higher levels give less, those of isal (up to 3) and those of zlib (from 4); 3 is the default."""
    text = b"".join(path.read_bytes() for path in sorted(Path(compress.__file__).parents[1].glob("values/*.py")))
    sizes = [len(packed(text, "gzip", [], level)[0]) for level in (0, 1, 3, 4, 6, 9)]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == len(sizes)
    data = sample(BLOCK_BYTES)
    assert packed(data, "gzip", [], 3)[0] == packed(data, "gzip", [])[0]
    assert len(packed(data, "zstd", [], 9)[0]) < len(packed(data, "zstd", [], 1)[0])


def test_default_gzip_is_near_gzip_6() -> None:
    """Our default is at most 12 percent larger than gzip's own on text."""
    text = b"".join(path.read_bytes() for path in sorted(Path(compress.__file__).parents[1].glob("values/*.py")))
    assert len(packed(text, "gzip", [])[0]) < 1.12 * len(zlib.compress(text, 6))


def test_unknown_compression() -> None:
    """A compression that is not there is a usage error that names the ones there are."""
    with pytest.raises(UsageError, match="lz4"):
        Compressor("lz4", -1, bytearray().extend)


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
