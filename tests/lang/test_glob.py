"""Tests of path patterns."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import BuildfileError
from builder.lang.automaton import Automaton
from builder.lang.glob import compile_glob, compile_match, has_magic

_PATTERNS = (
    st.lists(
        st.sampled_from(["a", "b", "/", "/", "*", "**", "**/", "?", "[ab]", "[^a]", "\\*"]), min_size=1, max_size=9
    )
    .map("".join)
    .filter(lambda pattern: not pattern.endswith("/"))
)  # rules are cleaned paths
_PATHS = st.text(alphabet="ab*/", max_size=10)


def _moby(pattern: str) -> str:
    """The regular expression that moby/patternmatcher makes of a pattern; a reference to hold ours against."""
    result = ""
    position = 0
    while position < len(pattern):
        if pattern.startswith("**", position):
            position += 3 if pattern.startswith("**/", position) else 2
            result += "(.*/)?" if position < len(pattern) else ".*"
            continue
        character = pattern[position]
        position += 1
        if character == "*":
            result += "[^/]*"
        elif character == "?":
            result += "[^/]"
        elif character == "\\":
            result += re.escape(pattern[position])
            position += 1
        elif character == "[":
            end = pattern.index("]", position)
            result += pattern[position - 1 : end + 1]
            position = end + 1
        else:
            result += re.escape(character)
    return result


def _matches_in_moby(pattern: str, path: str) -> bool:
    rest = pattern[2:]
    if pattern.startswith("**") and not set(rest) & set("*?[\\"):
        return path.endswith(rest) or (rest[:1] == "/" and path == rest[1:])
    return re.fullmatch(_moby(pattern), path, re.DOTALL) is not None


@settings(max_examples=1500, deadline=None)
@given(_PATTERNS, _PATHS)
def test_matches_what_moby_matches(pattern: str, path: str) -> None:
    """A pattern without open-ended backtracking matches what the expression with it does."""
    assert compile_glob(pattern).matches(path) == _matches_in_moby(pattern, path)


@settings(max_examples=1500, deadline=None)
@given(_PATTERNS, _PATHS)
def test_parents_match_too(pattern: str, path: str) -> None:
    """A path matches with its parents when it or one of the directories it lies in matches."""
    glob = compile_glob(pattern)
    cuts = [number for number, character in enumerate(path) if character == "/"]
    expected = any(_matches_in_moby(pattern, path[:cut]) for cut in (*cuts, len(path)))
    assert glob.matches_with_parents(path) == expected


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.txt", "a.txt", True),
        ("**/*.txt", "a/b.txt", True),
        ("**/*.txt", "a/b/c.txt", False),
        ("**/*.txt", "c.txt", False),
        ("a**c", "abbc", True),
        ("a**c", "a/c", False),
        ("a[b-d]?", "acx", True),
        ("a[b-d]?", "ac/", False),
    ],
)
def test_wildcards_of_copy(pattern: str, path: str, expected: bool) -> None:
    """In COPY two stars are no more than one."""
    assert compile_match(pattern).matches(path) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "[",
        "[]",
        "[]a]",
        "[a",
        "[^",
        "[^bc",
        "a[",
        "[-]",
        "[x-]",
        "[-x]",
        "[a-b-c]",
        "[a-]",
        "\\",
        "a\\",
        "[\\",
        "[a-\\",
    ],
)
def test_malformed(pattern: str) -> None:
    """What Go's filepath.Match takes for malformed is an error that shows the pattern."""
    for compiler in (compile_glob, compile_match):
        with pytest.raises(BuildfileError, match="syntax error in the pattern"):
            compiler(pattern)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [("[z-a]", "", "b"), ("[^z-a]", "b", ""), ("[\\]a]", "]", "b"), ("[a\\-]", "-", "b"), ("[!a]", "!", "b")],
)
def test_classes(pattern: str, matching: str, other: str) -> None:
    """Classes hold ranges and escaped characters; only ^ turns them around."""
    glob = compile_glob(pattern)
    assert not matching or glob.matches(matching)
    assert not other or not glob.matches(other)


def test_magic() -> None:
    """A path is a pattern when a wildcard in it has no backslash before it."""
    assert [has_magic(text) for text in ("a*", "a?", "[", "\\\\*")] == [True] * 4
    assert [has_magic(text) for text in ("a", "\\*", "\\[a]", "]", "\\")] == [False] * 5


def test_odd_names() -> None:
    """Names may hold line feeds and bytes that are no text."""
    assert compile_glob("a*c").matches("a\nc")
    assert compile_glob("**/x").matches("a\nb/x")
    assert compile_glob("a?").matches("a\udcff")
    assert not compile_glob("a").matches("a\n")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("a*" * 30 + "b", "a" * 4000),
        ("**/a/" * 10 + "b", "a/" * 2000 + "c"),
        ("*a**" * 10 + "b", "a/" * 1000),
        ("[^x]*" * 20 + "y", "a" * 1000),
        ("**/*a*a*a*/**/*b*b*b*/c", ("aaaa/" * 400) + "bbbb/d"),
    ],
)
def test_hostile_patterns_take_no_time(pattern: str, path: str) -> None:
    """No pattern makes matching explode."""
    started = time.process_time()
    for compiler in (compile_glob, compile_match):
        assert not compiler(pattern).matches(path)
        compiler(pattern).matches_with_parents(path)
    assert time.process_time() - started < 2


def test_only_odd_patterns_need_the_automaton() -> None:
    """Patterns of everyday stay with one fast expression."""
    assert not isinstance(compile_glob("**/a*b*c*/**/*.py").rule, Automaton)
    assert isinstance(compile_glob("*a**b*c").rule, Automaton)
