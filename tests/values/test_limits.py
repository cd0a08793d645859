"""The limits of what is taken in."""

from __future__ import annotations

from builder.values.limits import HIGHEST_DOCUMENT_BYTES, Limits, raised_by


def test_defaults() -> None:
    """The defaults are those that are promised."""
    assert Limits() == Limits(8 << 20, 100_000, 4, 1 << 20, 20_000_000_000, 1000, 1 << 30)
    assert Limits().document_bytes < HIGHEST_DOCUMENT_BYTES


def test_hints() -> None:
    """An error about a limit says which option raises it."""
    assert "--limit ratio-from=" in raised_by("ratio-from")
