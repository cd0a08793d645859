"""The limits as people name them, with what can be chosen. Only who reads an option or a configuration needs this."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from builder.declare import dataclass, replace
from builder.values.limits import HIGHEST_DOCUMENT_BYTES, Limits


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
