"""Tests of the nearest word."""

from __future__ import annotations

import pytest

from builder.lang.suggest import did_you_mean, nearest

_KNOWN = ("FROM", "RUN", "COPY", "CMD", "ENTRYPOINT")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("FRM", "FROM"),
        ("rnu", "RUN"),
        ("copi", "COPY"),
        ("ENTRPOINT", "ENTRYPOINT"),
        ("RUN", None),
        ("WIBBLE", None),
        ("", None),
    ],
)
def test_nearest(word: str, expected: str | None) -> None:
    """A word at most two edits away is meant, whatever its case; a known word or a far one suggests nothing."""
    assert nearest(word, _KNOWN) == expected


def test_hint_without_a_near_word() -> None:
    """Without a near word the hint is the other one."""
    assert did_you_mean("WIBBLE", _KNOWN, "no idea") == "no idea"
    assert did_you_mean("FRM", _KNOWN, "no idea") == "did you mean FROM?"


def test_very_long_words_are_not_compared() -> None:
    """A megabyte is nobody's misspelling."""
    assert nearest("x" * 1_000_000, ["x" * 1_000_001]) is None
