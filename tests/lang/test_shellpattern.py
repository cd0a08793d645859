"""Tests of the patterns in `${v#p}`, `${v%p}` and `${v/p/r}`."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import BuildfileError
from builder.lang.shellpattern import with_all_replaced, with_first_replaced, without_prefix, without_suffix

_PATTERNS = st.lists(st.sampled_from(["a", "b", "?", "*", "\\*", "\\?", "\n"]), max_size=8).map("".join)
_VALUES = st.text(alphabet="ab*?\n", max_size=14)
_NO_LIMIT = 10**9


def _expression(pattern: str, lazy: bool) -> str:
    """The pattern as the regular expression that BuildKit would make of it."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"*": ".*?" if lazy else ".*", "?": "."}
    return "".join(wild.get(part) or re.escape(part[-1]) for part in parts)


@settings(max_examples=500, deadline=None)
@given(_PATTERNS, _VALUES, st.booleans())
def test_prefix_is_that_of_a_regular_expression(pattern: str, value: str, longest: bool) -> None:
    """Without backtracking the same prefix goes as with it."""
    found = re.match(_expression(pattern, lazy=not longest), value)
    assert without_prefix(value, pattern, longest) == (value if found is None else value[found.end() :])


@settings(max_examples=500, deadline=None)
@given(_PATTERNS, _VALUES)
def test_first_match_is_that_of_a_regular_expression(pattern: str, value: str) -> None:
    """The leftmost, longest match is replaced."""
    expected = re.sub(_expression(pattern, lazy=False), "<>", value, count=1)
    assert with_first_replaced(value, pattern, "<>") == expected


@settings(max_examples=500, deadline=None)
@given(_PATTERNS.filter(lambda pattern: bool(pattern.strip("*"))), _VALUES)
def test_all_matches_are_those_of_a_regular_expression(pattern: str, value: str) -> None:
    """Every match that holds a character is replaced, from left to right."""
    assert with_all_replaced(value, pattern, "<>", _NO_LIMIT) == re.sub(_expression(pattern, lazy=False), "<>", value)


@pytest.mark.parametrize(("value", "expected"), [("ab", "-a-b-"), ("", "-")])
def test_empty_pattern_is_between_all_characters(value: str, expected: str) -> None:
    """An empty pattern matches everywhere, as in BuildKit."""
    assert with_all_replaced(value, "", "-", _NO_LIMIT) == expected


def test_star_does_not_match_again_behind_itself() -> None:
    """An empty match right behind another match does not count."""
    assert with_all_replaced("abc", "*", "-", _NO_LIMIT) == "-"


@pytest.mark.parametrize(
    ("pattern", "longest", "expected"),
    [(".*", False, "a.b"), (".*", True, "a"), ("?", True, "a.b."), ("\\*", True, "a.b.c"), ("*", True, "")],
)
def test_suffix(pattern: str, longest: bool, expected: str) -> None:
    """The shortest or longest matching end goes."""
    assert without_suffix("a.b.c", pattern, longest) == expected


def test_escaped_brace_and_slash_are_plain() -> None:
    """A backslash before } and / goes, as they stand for themselves only with it."""
    assert with_first_replaced("a/b}c", "\\/b\\}", "") == "ac"


@pytest.mark.parametrize("pattern", ["\\a", "a\\", "\\"])
def test_bad_escape(pattern: str) -> None:
    """A backslash before anything else is an error."""
    with pytest.raises(BuildfileError, match="invalid escape"):
        without_prefix("x", pattern, longest=True)


def test_long_pattern_is_refused() -> None:
    """A pattern that could cost its length times the value's is limited."""
    with pytest.raises(BuildfileError, match="longer than"):
        without_prefix("x", "?" * 2000, longest=True)


def test_result_is_limited() -> None:
    """A replacement that multiplies is stopped."""
    with pytest.raises(BuildfileError, match="longer than"):
        with_all_replaced("a" * 1000, "a", "b" * 1000, 100_000)


@pytest.mark.parametrize(
    ("value", "pattern"),
    [
        ("a" * 300_000, "*a" * 100 + "b"),
        ("a" * 300_000, "a*b"),
        ("ab" * 100_000, "a*?*b*c"),
        ("a\n" * 100_000, "a*b*c"),
        ("\n" * 200_000, "*\n" * 100 + "x"),
    ],
)
def test_many_stars_take_no_time(value: str, pattern: str) -> None:
    """The patterns that make regular expressions explode are harmless."""
    started = time.process_time()
    try:
        with_all_replaced(value, pattern, "", _NO_LIMIT)
        without_prefix(value, pattern, longest=True)
        without_suffix(value, pattern, longest=False)
    except BuildfileError as error:
        assert "stars" in error.message
    assert time.process_time() - started < 10
