"""Tests of texts and the places in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builder.source import SourceText, Span


def test_lines_end_with_lf_or_cr_lf() -> None:
    """LF and CR LF end a line and are not part of it."""
    assert SourceText("x", "a\r\nb\nc").lines() == ["a", "b", "c"]


def test_other_white_space_is_part_of_a_line() -> None:
    """A form feed, a NEL, a line separator or a lone CR does not end a line, or numbers would not be an editor's."""
    assert SourceText("x", "a\fb\x85c\u2028d\re\n").lines() == ["a\fb\x85c\u2028d\re", ""]


@given(st.lists(st.text(st.characters(exclude_characters="\n\r"))))
def test_lines_come_back(lines: list[str]) -> None:
    """Lines that are joined by LF come back as they were."""
    assert SourceText("x", "\n".join(lines)).lines() == (lines or [""])


def test_a_place_is_shown_as_name_and_first_line() -> None:
    """A span is written as editors and compilers write it."""
    assert str(Span(SourceText("dir/Buildfile", ""), 3, 7)) == "dir/Buildfile:3"
