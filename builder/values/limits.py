"""How much is taken in from strangers: images, archives, contexts. Limits have a name, a default and a highest value.

They are against what is made to fill a disk or a memory (CVE-2017-14992); an honest image comes near none of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

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


@dataclass(frozen=True, slots=True)
class Bound:
    """A row of the table: the name that people write, the field of `Limits`, and the values that can be chosen."""

    name: str
    field: str
    lowest: int
    highest: int

    @property
    def is_size(self) -> bool:
        """Whether it counts bytes."""
        return self.field.endswith("_bytes")

    def check(self, value: int) -> int:
        """The value. Raises ValueError where it cannot be chosen."""
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"{value} is not between {self.lowest} and {self.highest}")
        return value


BOUNDS: Final = (
    Bound("document", "document_bytes", 1 << 10, HIGHEST_DOCUMENT_BYTES),
    Bound("index-entries", "index_entries", 1, 1_000_000),
    Bound("index-depth", "index_depth", 1, 100),
    Bound("header", "header_bytes", 1 << 10, 64 << 20),
    Bound("layer", "layer_bytes", 1 << 20, 1 << 60),
    Bound("ratio", "ratio", 10, 1_000_000),
    Bound("ratio-from", "ratio_from_bytes", 1 << 20, 1 << 60),
)

BOUND_NAMES: Final = tuple(bound.name for bound in BOUNDS)


def with_values(limits: Limits, values: Iterable[tuple[str, int]]) -> Limits:
    """The limits with some of them changed, by their fields' names."""
    return replace(limits, **dict(values))


def raised_by(field: str) -> str:
    """The hint of an error about a limit: the option that raises it."""
    name = next(bound.name for bound in BOUNDS if bound.field == field)
    return f"where you trust it, --limit {name}=... allows more"
