"""How much is taken in from strangers: images, archives, contexts. What can be chosen is in `limit_names`.

They are against what is made to fill a disk or a memory (CVE-2017-14992); an honest image comes near none of them.
"""

from __future__ import annotations

from typing import Final

from builder.declare import dataclass

HIGHEST_DOCUMENT_BYTES: Final = 64 << 20
"""No manifest, index or config that is larger can have come into the store."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits in force.

    A layer (or archive) may become `layer_bytes` in all, and `ratio` times its blob once it is past `ratio_from_bytes`.
    """

    document_bytes: int = 8 << 20
    index_entries: int = 100_000
    index_depth: int = 4
    header_bytes: int = 1 << 20
    layer_bytes: int = 20_000_000_000
    ratio: int = 1000
    ratio_from_bytes: int = 1 << 30


def raised_by(name: str) -> str:
    """The hint of an error about a limit: the option that raises it, by the limit's name on the command line."""
    return f"where you trust it, --limit {name}=... allows more"
