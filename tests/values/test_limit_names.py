"""The table of limits."""

from __future__ import annotations

from dataclasses import fields

import pytest

from builder.values.limit_names import BOUND_NAMES, BOUNDS, with_values
from builder.values.limits import HIGHEST_DOCUMENT_BYTES, Limits


def test_the_table_is_whole() -> None:
    """Every limit has a row, each name is there once, and the defaults can be chosen."""
    assert sorted(bound.field for bound in BOUNDS) == sorted(field.name for field in fields(Limits))
    assert len(set(BOUND_NAMES)) == len(BOUNDS)
    for bound in BOUNDS:
        assert bound.check(getattr(Limits(), bound.field)) == getattr(Limits(), bound.field)


@pytest.mark.parametrize("bound", BOUNDS, ids=BOUND_NAMES)
def test_ends(bound: object) -> None:
    """A limit has a lowest and a highest value: none can be switched off, and the store keeps what it can read."""
    for row in BOUNDS:
        if row is bound:
            for value in (row.lowest - 1, row.highest + 1, 0, -1):
                with pytest.raises(ValueError, match="is not between"):
                    row.check(value)
    assert next(row.highest for row in BOUNDS if row.name == "document") == HIGHEST_DOCUMENT_BYTES


def test_changed() -> None:
    """Some are changed and the others stay; of one that is changed twice the last counts."""
    assert with_values(Limits(), [("ratio", 10), ("ratio", 20)]) == Limits(ratio=20)
