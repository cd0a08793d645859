"""How layers are compressed, and the levels that each way has."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Compression(StrEnum):
    """How layers are stored."""

    GZIP = "gzip"
    ZSTD = "zstd"
    NONE = "none"


LEVELS: Final[Mapping[Compression, range]] = MappingProxyType(
    {Compression.GZIP: range(10), Compression.ZSTD: range(1, 23), Compression.NONE: range(0)}
)
"""The levels that can be asked for: those of gzip(1) (up to 3 ISA-L's, from 4 on zlib's), those of zstd(1)."""
