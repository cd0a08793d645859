"""A layer's tar compressed: the same bytes however the input is cut, and both hashes on the way."""

from __future__ import annotations

import hashlib
import io
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import UsageError
from builder.tree.compress import decompressor, media_type_of
from builder.tree.compressor import BLOCK_BYTES, Compressor
from tests.tree.test_compress import sample

COMPRESSIONS = ("gzip", "zstd", "none")


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


def test_unknown_compression() -> None:
    """A compression that is not there is a usage error that names the ones there are."""
    with pytest.raises(UsageError, match="lz4"):
        Compressor("lz4", -1, bytearray().extend)


def test_blocks_are_watched_in_order() -> None:
    """Whoever watches sees the whole tar, in its order."""
    data = sample(3 * BLOCK_BYTES + 5)
    seen = bytearray()
    with Compressor("gzip", -1, len, seen.extend) as compressor:
        compressor.write(data)
        compressor.close()
    assert bytes(seen) == data


def test_a_full_disk_is_told() -> None:
    """What `write` raises comes out of the compressor, though another thread has called it; no thread is left."""

    def write(data: bytes | memoryview) -> None:  # noqa: ARG001
        raise OSError(28, "no space")

    before = threading.active_count()
    with pytest.raises(OSError, match="no space"), Compressor("gzip", -1, write) as compressor:
        for _ in range(20):
            compressor.write(os.urandom(BLOCK_BYTES))
        compressor.close()
    assert threading.active_count() == before


def test_threads_end_with_an_error_of_the_caller() -> None:
    """A caller that fails half-way leaves no thread behind."""
    before = threading.active_count()
    with pytest.raises(KeyError), Compressor("gzip", -1, len) as compressor:
        compressor.write(bytes(3 * BLOCK_BYTES))
        raise KeyError
    assert threading.active_count() == before
