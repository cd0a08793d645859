"""Tests of patterns: used as compiled expressions are."""

from __future__ import annotations

import importlib
import re

import pytest

from builder.pattern import pattern
from tests.test_architecture import MODULES, name_of


def test_a_pattern_is_used_as_a_compiled_one() -> None:
    """What matches, and what the groups are, is what the same expression of `re` says, at each use."""
    found, compiled = pattern(r"([a-z]+)=(\d+)", re.IGNORECASE), re.compile(r"([a-z]+)=(\d+)", re.IGNORECASE)
    for _ in range(2):
        match = found.fullmatch("Ab=12")
        assert match is not None and match.groups() == ("Ab", "12")
        assert found.sub("x", "a=1 b=2") == compiled.sub("x", "a=1 b=2") == "x x"
        assert found.match("=") is None
    assert found.pattern == compiled.pattern and found.flags == compiled.flags


def test_a_wrong_one_is_told_of_when_it_is_used() -> None:
    """Declaring compiles nothing."""
    wrong = pattern("(")
    with pytest.raises(re.error):
        wrong.match("")


def test_all_patterns_of_the_program_compile() -> None:
    """Those that hardly anybody uses too."""
    kind, found = type(pattern("")), 0
    for path in MODULES:
        module = importlib.import_module(f"builder.{name_of(path)}".removesuffix(".__init__"))
        for value in vars(module).values():
            if isinstance(value, kind):
                assert value.match is not None
                found += 1
    assert found > 20
