"""Tests of ignore files."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import BuildfileError
from builder.lang import ignore
from builder.lang.glob import compile_glob
from builder.lang.ignore import IgnoreRules, read_patterns
from tests.lang import data


@pytest.mark.parametrize("row", data.rows("patternmatcher/matches.json"))
def test_matching_table(row: dict[str, Any]) -> None:
    """Patterns ignore the paths that moby's tables say."""
    if row.get("error"):
        with pytest.raises(BuildfileError):
            IgnoreRules.of(row["patterns"])
    else:
        assert IgnoreRules.of(row["patterns"]).excludes(row["path"]) is row["ignored"]


@pytest.mark.parametrize("row", data.rows("patternmatcher/ignorefile.json"))
def test_file_table(row: dict[str, Any]) -> None:
    """An ignore file holds the patterns that moby's table says."""
    assert [pattern for _, pattern in read_patterns(row["content"])] == row["patterns"]


def test_no_rules() -> None:
    """Without rules nothing is ignored."""
    rules = IgnoreRules.parse("# nothing\n\n", ".dockerignore")
    assert rules == IgnoreRules()
    assert not rules.excludes("a/b")
    assert not rules.may_readmit_below("a")


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("\ufeffa\r\n  b \r\n", ("a", "b")),
        ("./a/../b/\n/c//d\n", ("b", "c/d")),
        ("! ./a\n!/b\n", ("!a", "!b")),
        (" #a\n#b\n", ("#a",)),
        ("..\n../x\n.\n/\n//\n", ("..", "../x", ".", "/", "/")),
    ],
)
def test_cleaning(text: str, patterns: tuple[str, ...]) -> None:
    """Spaces, slashes, dots and marks are cleaned away; a # that is not at the beginning is text."""
    assert IgnoreRules.parse(text, "x").patterns == patterns


@pytest.mark.parametrize("text", ["a\n[\n", "a\n!\n", "a\n! [x\n"])
def test_errors_have_a_line(text: str) -> None:
    """A malformed pattern is reported with its line."""
    with pytest.raises(BuildfileError) as caught:
        IgnoreRules.parse(text, ".dockerignore")
    assert str(caught.value.span) == ".dockerignore:2"


def test_last_line_wins() -> None:
    """Later lines take back what earlier ones ignored, and the other way round."""
    rules = IgnoreRules.parse("*\n!a\na/b\n!a/b/c\n", "x")
    paths = ("x", "a", "a/x", "a/b", "a/b/x", "a/b/c", "a/b/c/d")
    assert [rules.excludes(path) for path in paths] == [True, False, False, True, True, False, False]


@pytest.mark.parametrize(
    ("text", "directory", "expected"),
    [
        ("a", "a", False),
        ("a\n!a/b", "a", True),
        ("a\n!a/b", "x", False),
        ("a\n!a/b", "a/b", False),
        ("a\n!a/b", "a/c", False),
        ("*\n!*/b", "x", True),
        ("*\n!a", "a", False),
        ("*\n!**/b", "x/y/z", True),
        ("*\n!a/**", "x", False),
        ("*\n!a/**", "a/b", True),
        ("*\n!a*/x/y", "ab/x", True),
        ("*\n!a?/x", "abc", False),
        ("*\n![ab]", "x", True),
    ],
)
def test_pruning(text: str, directory: str, expected: bool) -> None:
    """A walk may leave out an ignored directory unless a pattern with ! may reach below it."""
    assert IgnoreRules.parse(text, "x").may_readmit_below(directory) is expected


_PATTERNS = st.lists(
    st.tuples(
        st.sampled_from(["", "!"]), st.lists(st.sampled_from(["a", "b", "*", "**", "a*", "?"]), min_size=1, max_size=3)
    ),
    max_size=5,
).map(lambda parts: [mark + "/".join(names) for mark, names in parts])
_PATHS = st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=1, max_size=4).map("/".join)


@settings(max_examples=500, deadline=None)
@given(_PATTERNS, _PATHS)
def test_grouping_changes_nothing(patterns: list[str], path: str) -> None:
    """The rules in groups decide as the rules one by one."""
    excluded = False
    for pattern in patterns:
        takes_back = pattern.startswith("!")
        if takes_back == excluded and compile_glob(pattern.removeprefix("!")).matches_with_parents(path):
            excluded = not takes_back
    assert IgnoreRules.of(patterns).excludes(path) == excluded


@settings(max_examples=500, deadline=None)
@given(_PATTERNS, _PATHS)
def test_pruning_loses_nothing(patterns: list[str], path: str) -> None:
    """Nothing below a directory that a walk may leave out would have been there."""
    rules = IgnoreRules.of(patterns)
    parent = path.rpartition("/")[0]
    if parent and rules.excludes(parent) and not rules.may_readmit_below(parent):
        assert rules.excludes(path)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), _PATHS)
def test_any_file_is_read_or_refused(text: str, path: str) -> None:
    """No ignore file does anything but give rules or raise a BuildfileError with a line."""
    try:
        rules = IgnoreRules.parse(text, "x")
    except BuildfileError as error:
        assert error.span is not None
    else:
        rules.excludes(path)
        rules.may_readmit_below(path)


def test_many_rules_take_no_time() -> None:
    """A thousand rules and ten thousand paths are matched in moments."""
    rules = IgnoreRules.parse("".join(f"**/d{number}/*.o\n" for number in range(200)) + "!keep\n" * 200, "x")
    started = time.process_time()
    for number in range(2_000):
        rules.excludes(f"src/deep/d{number}/x/file{number}.c")
    assert time.process_time() - started < 5


def test_a_hundred_thousand_names_take_no_time() -> None:
    """Names without wildcards are looked up, however many: by themselves and for what lies in them."""
    started = time.process_time()
    rules = IgnoreRules.parse("".join(f"dir/name{number}\n" for number in range(100_000)) + "!dir/name7/back\n", "x")
    assert rules.excludes("dir/name99999") and rules.excludes("dir/name5/below/it") and rules.excludes("dir/name7")
    assert not rules.excludes("dir/name") and not rules.excludes("dir/name7/back/x") and not rules.excludes("dir")
    assert time.process_time() - started < 5


def test_more_wildcards_than_anybody_has() -> None:
    """A file with so many wildcards that matching would take for ever is refused, with how many there may be."""
    for line, count in (("*a{}*\n", ignore.MOST_WILD + 1), ("*a**{}*c\n", ignore.MOST_HARD + 1)):
        with pytest.raises(BuildfileError, match=f"{count} patterns with wildcards"):
            IgnoreRules.parse("".join(line.format(number) for number in range(count)), "x")
