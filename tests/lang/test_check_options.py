"""Tests of the check directive."""

from __future__ import annotations

import pytest

from builder.errors import BuildfileError
from builder.lang.check_options import CheckOptions, options_in, read_options


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, CheckOptions()),
        ("", CheckOptions()),
        ("skip=A,B", CheckOptions(skip=frozenset("AB"))),
        ("skip=all;error=true", CheckOptions(skip_all=True, error=True)),
        (" skip = A , B ; error = 1 ;", CheckOptions(skip=frozenset("AB"), error=True)),
        ("skip=all // because; of this", CheckOptions(skip_all=True)),
        ("experimental=all", CheckOptions(experimental_all=True)),
        ("error=true;experimental=A;error=false", CheckOptions(experimental=frozenset("A"))),
    ],
)
def test_options(text: str | None, expected: CheckOptions) -> None:
    """Options stand between semicolons, with or without spaces."""
    assert read_options(text) == expected


@pytest.mark.parametrize("text", ["bogus", "bogus=1", "skip", "error=maybe", "=x"])
def test_bad_options(text: str) -> None:
    """Other words are errors with a hint."""
    with pytest.raises(BuildfileError, match="check option") as caught:
        read_options(text)
    assert caught.value.hint


def test_comments() -> None:
    """The first check comment above an instruction counts, and a malformed one asks for nothing."""
    assert options_in(("x", "check=skip=A", "check=skip=B")) == CheckOptions(skip=frozenset("A"))
    assert options_in(("Check = skip=all",)) == CheckOptions(skip_all=True)
    assert options_in(("check=bogus",)) == CheckOptions()
    assert options_in(()) == CheckOptions()


def test_wants() -> None:
    """Rules are wanted unless they are left out; experimental ones only when they are asked for."""
    options = CheckOptions(skip=frozenset("A"), experimental=frozenset("X"))
    assert [options.wants(rule, is_experimental=False) for rule in "AB"] == [False, True]
    assert [options.wants(rule, is_experimental=True) for rule in "XY"] == [True, False]
