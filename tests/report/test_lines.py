"""Output of steps as lines."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.report.lines import LIMIT_BYTES, LineCutter
from builder.report.mask import NOTHING, Mask


def test_lines_may_be_cut_anywhere() -> None:
    """A line that comes in pieces is one line, also when a character is cut in two."""
    cutter = LineCutter(NOTHING)
    assert cutter.feed(b"gr\xc3") == []
    assert cutter.feed(b"\xb6\xc3\x9fe\nnext") == ["größe"]
    assert cutter.flush() == ["next"]
    assert cutter.flush() == []


def test_overwritten_text_is_left_out() -> None:
    """Of a progress bar only its last state is shown; CR LF is a line end."""
    cutter = LineCutter(NOTHING)
    assert cutter.feed(b" 10%\r 50%\r100%\ndone\r\n") == ["100%", "done"]


def test_output_without_line_ends_costs_no_memory() -> None:
    """A line that never ends is shown in pieces; a progress bar that never ends is forgotten up to its last state."""
    cutter = LineCutter(NOTHING)
    assert [len(line) for line in cutter.feed(b"x" * (2 * LIMIT_BYTES + 10))] == [LIMIT_BYTES, LIMIT_BYTES]
    bar = LineCutter(NOTHING)
    assert bar.feed(b"\r50%" * LIMIT_BYTES) == []
    assert bar.flush() == ["50%"]


def test_bytes_that_are_no_text_are_shown() -> None:
    """What is not UTF-8 is written out."""
    assert LineCutter(NOTHING).feed(b"\xff\x00\n") == ["\\xff\\x00"]


def test_secrets_are_hidden_even_when_they_come_in_pieces() -> None:
    """A value cut between two writes is still found."""
    cutter = LineCutter(Mask([b"s3cret-value"]))
    assert cutter.feed(b"token s3cret") == []
    assert cutter.feed(b"-value\n") == ["token ***"]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_the_cut_of_the_input_does_not_matter(data: bytes, cuts: list[int]) -> None:
    """The same bytes give the same lines however they arrive."""
    whole = LineCutter(NOTHING)
    expected = whole.feed(data) + whole.flush()
    pieces = LineCutter(NOTHING)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    shown = [line for start, end in itertools.pairwise(places) for line in pieces.feed(data[start:end])]
    assert shown + pieces.flush() == expected


@pytest.mark.parametrize("before", range(LIMIT_BYTES - 14, LIMIT_BYTES + 2))
def test_a_line_is_not_cut_in_a_secret(before: int) -> None:
    """Where a line is too long, its pieces hold the value whole or not at all."""
    cutter = LineCutter(Mask([b"s3cret-value"]))
    lines = cutter.feed(b"x" * before + b"s3cret-value" + b"y" * 1000) + cutter.flush()
    assert "".join(lines) == "x" * before + "***" + "y" * 1000


def test_colours_do_not_hide_a_secret() -> None:
    """A value with an escape sequence in it, as grep colours what it found, is hidden too."""
    cutter = LineCutter(Mask([b"s3cret-value"]))
    assert cutter.feed(b"a s3c\x1b[01;31mret\x1b[m\x1b[K-value b\n") == ["a *** b"]
