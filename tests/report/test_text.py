"""Text made fit to show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.report.text import (
    brief_age,
    cut,
    human_age,
    human_seconds,
    human_size,
    printable,
    seconds_of,
    spread,
    width_of,
)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain text", "plain text"),
        ("tab\tstays", "tab\tstays"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("\x1bPq evil\x1b\\x", "x"),
        ("\x1b(Bx", "x"),
        ("bare \x1b", "bare \\x1b"),
        ("bell\x07 back\x08", "bell\\x07 back\\x08"),
        ("one\ntwo\rthree", "one\\x0atwo\\x0dthree"),
        ("\x9b31mC1", "\\x9b31mC1"),
        ("a\u202eb", "a\\u202eb"),
        ("not utf-8 \udcff", "not utf-8 \\xff"),
        ("größe 日本", "größe 日本"),
    ],
)
def test_controls_are_neutralised(raw: str, shown: str) -> None:
    """Escape sequences are dropped, other controls and reordering marks are written out, text stays."""
    assert printable(raw) == shown


@given(st.text())
def test_nothing_printable_can_move_a_cursor(text: str) -> None:
    """Whatever goes in, no control character but the tab comes out."""
    shown = printable(text)
    assert not any((ord(char) < 0x20 and char != "\t") or 0x7F <= ord(char) < 0xA0 for char in shown)
    assert printable(shown) == shown


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])), st.integers(0, 50))
def test_a_cut_line_fits(text: str, columns: int) -> None:
    """A cut text is never wider than asked, wide and combining characters counted as terminals do."""
    assert width_of(cut(text, columns)) <= columns


def test_a_cut_line_says_so() -> None:
    """Where something is left out, the line ends in dots."""
    assert cut("abcdefghij", 8) == "abcde..."
    assert cut("日本語日本語", 8) == "日本..."
    assert cut("abcdefgh", 8) == "abcdefgh"
    assert cut("abcdefgh", 4) == "abcd"


def test_two_ends_of_a_line() -> None:
    """The right part keeps its place and the left one is cut; a very narrow line has only the left one."""
    assert spread("left", "right", 20) == "left           right"
    assert spread("a long left part", "3.2s", 20) == "a long left...  3.2s"
    assert spread("a long left part", "3.2s", 12) == "a long le..."


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (60_100_000, "60.1 MB")],
)
def test_sizes(size: int, text: str) -> None:
    """Sizes are in decimal units with one digit, and never show 1000.0 of one."""
    assert human_size(size) == text
    assert human_size(10**17) == "100.0 PB"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (-1, "0.0s"), (59.94, "59.9s"), (59.96, "1m 00s"), (125, "2m 05s"), (3725, "1h 02m")],
)
def test_durations(seconds: float, text: str) -> None:
    """Durations grow from tenths of seconds to hours."""
    assert human_seconds(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "just now"),
        (0.5, "just now"),
        (1, "1 second ago"),
        (119, "1 minute ago"),
        (7200, "2 hours ago"),
        (2e6, "23 days ago"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    """Ages are in their largest unit; a clock that was set back is just now."""
    assert human_age(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0s"), (59, "59s"), (60, "1m"), (7199, "1h"), (86400, "1d"), (8e7, "2y")]
)
def test_brief_ages(seconds: float, text: str) -> None:
    """Where there is little room an age is a number and a letter."""
    assert brief_age(seconds) == text


def test_times_in_documents() -> None:
    """Times of images are read with any fraction and any zone; what is no time is none."""
    assert seconds_of("2023-11-14T22:13:20Z") == seconds_of("2023-11-14T23:13:20+01:00") == 1_700_000_000
    assert seconds_of("2023-11-14T22:13:20.123456789Z") == pytest.approx(1_700_000_000.123456)
    assert seconds_of("2023-11-14T22:13:20") == 1_700_000_000
    assert seconds_of("") is seconds_of("yesterday") is None
