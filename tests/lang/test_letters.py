"""Tests of what counts as white space and as part of a name."""

from __future__ import annotations

import pytest

from builder.lang.letters import BLANKS, SPACES, clipped, is_name_part, is_name_start


def test_separators_of_records_are_no_white_space() -> None:
    """U+001C to U+001F, which Python's own split takes for white space, are text."""
    assert not set("\x1c\x1d\x1e\x1f") & set(SPACES)


def test_no_break_space_separates_no_words() -> None:
    """Only tabs, blanks, form feeds and their kin stand between the words of an instruction."""
    assert BLANKS.split("a \t\f\vb\xa0c") == ["a", "b\xa0c"]


@pytest.mark.parametrize(("character", "start", "part"), [("_", True, True), ("é", True, True), ("7", False, True)])
def test_names(character: str, start: bool, part: bool) -> None:
    """Names begin with a letter or _, and go on with digits too."""
    assert (is_name_start(character), is_name_part(character)) == (start, part)


@pytest.mark.parametrize("character", ["²", "½", "-", " "])
def test_not_in_names(character: str) -> None:
    """Numerals that are no digits, and signs, end a name."""
    assert not is_name_part(character)


def test_clipped() -> None:
    """Long texts are cut for messages, and control characters are shown as escapes."""
    assert clipped("a\x1b") == "'a\\x1b'"
    assert len(clipped("x" * 1000)) < 100
