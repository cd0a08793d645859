"""Compressions and their levels."""

from __future__ import annotations

import pytest

from builder.tree.compressor import Compressor
from builder.values.compression import LEVELS, Compression


def _size(compression: Compression, level: int, data: bytes) -> int:
    packer = Compressor(compression.value, level, len)
    packer.write(data)
    packer.close()
    return packer.size


@pytest.mark.parametrize("compression", list(Compression))
def test_every_level_works(compression: Compression) -> None:
    """Each level that can be asked for is one that the compressor takes."""
    for level in LEVELS[compression]:
        assert 0 < _size(compression, level, b"a" * 1000) < 1000
