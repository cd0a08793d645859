"""gzip as it is written: read by everybody, with what does not compress stored as it is."""

from __future__ import annotations

import gzip
import random
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.tree import deflate
from builder.tree.compressor import BLOCK_BYTES
from builder.tree.deflate import GzipEncoder
from tests.tree.test_compress import sample
from tests.tree.test_compressor import packed

NOISE = random.Random(3).randbytes(BLOCK_BYTES)
TEXT = sample(BLOCK_BYTES)


def encoded(blocks: list[bytes], level: int = 3) -> bytes:
    encoder = GzipEncoder(level)
    return b"".join([encoder.compress(memoryview(block)) for block in blocks]) + encoder.flush()


def test_noise_is_stored() -> None:
    """Bytes that do not compress grow by five for each 65,535, whatever the level."""
    for level in (0, 3, 9):
        out = encoded([NOISE, NOISE], level)
        assert len(out) - 2 * BLOCK_BYTES < 2 * 17 * 5 + 30
        assert gzip.decompress(out) == NOISE + NOISE


def test_a_sixteenth_of_text_is_worth_it() -> None:
    """A block with a little text among noise is compressed."""
    block = TEXT[: BLOCK_BYTES // 8] + NOISE[BLOCK_BYTES // 8 :]
    assert len(encoded([block])) < BLOCK_BYTES - BLOCK_BYTES // 32


@pytest.mark.parametrize("level", [0, 3, 4])
@settings(max_examples=20)
@given(picks=st.lists(st.sampled_from([NOISE, TEXT, NOISE[: 1 << 17], TEXT[:70_000], b"end"]), max_size=4))
def test_law_one_member(level: int, picks: list[bytes]) -> None:
    """Stored and compressed blocks in any order are one gzip member that zlib reads back."""
    reader = zlib.decompressobj(31)
    assert reader.decompress(encoded(picks, level)) == b"".join(picks)
    assert reader.eof and not reader.unused_data


def test_gzip_names_nobody_and_no_time() -> None:
    """The gzip header has no time and no name."""
    assert packed(b"x", "gzip", [])[0][:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    assert packed(b"x", "gzip", [], 9)[0][:8] == b"\x1f\x8b\x08\0\0\0\0\0"


def test_levels() -> None:
    """Higher levels give less, those of isal (up to 3) and those of zlib (from 4); 3 is the default."""
    text = b"".join(path.read_bytes() for path in sorted(Path(deflate.__file__).parents[1].glob("values/*.py")))
    sizes = [len(packed(text, "gzip", [], level)[0]) for level in (0, 1, 3, 4, 6, 9)]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == len(sizes)
    data = sample(BLOCK_BYTES)
    assert packed(data, "gzip", [], 3)[0] == packed(data, "gzip", [])[0]
    assert len(packed(data, "zstd", [], 9)[0]) < len(packed(data, "zstd", [], 1)[0])


def test_default_gzip_is_near_gzip_6() -> None:
    """Our default is at most 12 percent larger than gzip's own on text."""
    text = b"".join(path.read_bytes() for path in sorted(Path(deflate.__file__).parents[1].glob("values/*.py")))
    assert len(packed(text, "gzip", [])[0]) < 1.12 * len(zlib.compress(text, 6))
