"""What the documentation says of how much is tried."""

from __future__ import annotations

from pathlib import Path

from tests.hostile.count import parts, rows

PAGE = Path(__file__).parents[2] / "docs" / "hostile.md"


def test_the_page_counts_what_there_is() -> None:
    """The table is that of `python -m tests.hostile.count`."""
    assert "\n".join(rows()) in PAGE.read_text(encoding="utf-8")


def test_there_are_enough() -> None:
    """150 layers, 150 Buildfiles, 60 registries at the least, and readers of all kinds are fuzzed."""
    assert all(part.cases >= part.least for part in parts())
