"""Tests of the automaton that runs odd path patterns."""

from __future__ import annotations

import re

import pytest

from builder.lang.automaton import Automaton, Wild

_A = re.compile("a")
_B = re.compile("b")
_SLASH = re.compile("/")


@pytest.mark.parametrize(
    ("parts", "accepted", "refused"),
    [
        ([], [""], ["a"]),
        ([_A, Wild.STAR, _B], ["ab", "axxb"], ["a", "a/b", "abx"]),
        ([Wild.DEEP, _A], ["a", "/a", "x/a", "x/y/a"], ["xa", "x/", ""]),
        ([_A, Wild.DEEP, _B], ["ab", "a/b", "axx/b"], ["axb", "a/"]),
        ([_A, Wild.ALL], ["a", "a/b/c"], ["", "b"]),
        ([Wild.STAR, Wild.STAR, Wild.DEEP], ["", "x", "x/", "x/y/"], ["x/y"]),
    ],
)
def test_accepts(parts: list[Wild | re.Pattern[str]], accepted: list[str], refused: list[str]) -> None:
    """Each wildcard takes what it stands for and no more."""
    automaton = Automaton.of(parts)
    assert [automaton.accepts(path) for path in accepted] == [True] * len(accepted)
    assert [automaton.accepts(path) for path in refused] == [False] * len(refused)


def test_accepts_beginning() -> None:
    """A directory that matches is enough, half a name is not."""
    automaton = Automaton.of([_A, _SLASH, Wild.STAR, _B])
    assert [automaton.accepts_beginning(path) for path in ("a/b", "a/xb/c", "a/bc", "a")] == [True, True, False, False]


def test_memory_is_bounded() -> None:
    """What is remembered between paths has a limit."""
    automaton = Automaton.of([Wild.STAR, _A])
    for number in range(20_000):
        automaton.accepts(chr(0x4E00 + number))
    assert len(automaton.remembered) <= 10_000
