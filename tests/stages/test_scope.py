"""Tests of what variables mean."""

from __future__ import annotations

import pytest

from builder.errors import BuildfileError
from builder.lang.grammar import parse
from builder.source import SourceText
from builder.stages.scope import PROXY_NAMES, Scope, global_scope, platform_args
from builder.values.platform import Platform
from tests.stages.plans import SPAN

ARM = Platform("linux", "arm", "v7")
AMD64 = Platform("linux", "amd64")


def scope(**settings: object) -> Scope:
    """A target's scope with nothing in it but this."""
    return Scope(**{"given": {}, "globals": {}, **settings})  # type: ignore[arg-type]


def test_an_arg_takes_its_default() -> None:
    """`ARG a=1` gives a the value 1."""
    assert scope().with_arg("a", "1", SPAN).names == {"a": "1"}


def test_the_command_line_wins_over_the_default() -> None:
    """A build arg takes the place of the default, and the default is not even expanded."""
    assert scope(given={"a": "cli"}).with_arg("a", "${x:?never}", SPAN).names == {"a": "cli"}


def test_a_global_arg_has_no_value_until_it_is_declared() -> None:
    """ARGs before the first FROM are seen in a target from the line that names them again."""
    begun = scope(globals={"a": "global"})
    assert begun.names == {}
    assert begun.with_arg("a", None, SPAN).names == {"a": "global"}
    assert begun.with_arg("a", "own", SPAN).names == {"a": "own"}


def test_a_build_arg_without_an_arg_is_not_seen() -> None:
    """What is given but not declared has no value in a target."""
    assert scope(given={"a": "cli"}).names == {}


def test_an_arg_without_any_value_is_not_set() -> None:
    """`ARG a` alone declares a and leaves it unset, which is not the same as empty."""
    declared = scope().with_arg("a", None, SPAN)
    assert declared.names == {}
    assert declared.word("${a-unset}", SPAN) == "unset"
    assert declared.recorded_args == (("a", ""),)


def test_declaring_again_without_a_value_keeps_it() -> None:
    """`ARG a=1`, `ARG a`: a is still 1, as in BuildKit."""
    assert scope().with_arg("a", "1", SPAN).with_arg("a", None, SPAN).names == {"a": "1"}


def test_of_an_env_and_an_arg_the_later_one_counts() -> None:
    """ENV hides an ARG of its name, and an ARG after it that has a value hides the ENV again."""
    first = scope().with_arg("a", "arg", SPAN).with_env((("a", "env"),), frozenset("a"))
    assert first.names == {"a": "env"}
    assert first.command_env == (("a", "env"),)
    then = first.with_arg("a", "later", SPAN)
    assert then.names == {"a": "later"}
    assert then.command_env == (("a", "later"),)
    last = then.with_env((("a", "again"),), frozenset("a"))
    assert last.names == {"a": "again"}


def test_an_arg_without_a_value_hides_no_env() -> None:
    """`ARG PATH` of somebody who only declares it does not take PATH away."""
    assert scope(env=(("PATH", "/bin"),)).with_arg("PATH", None, SPAN).names == {"PATH": "/bin"}


def test_a_command_sees_each_name_once() -> None:
    """The environment of a step never has a name twice, whatever was declared over what."""
    all_of_it = (
        scope(env=(("x", "1"), ("y", "2")))
        .with_arg("y", "3", SPAN)
        .with_arg("z", "4", SPAN)
        .with_env((("x", "1"), ("y", "2"), ("z", "5")), frozenset("z"))
    )
    assert all_of_it.command_env == (("x", "1"), ("z", "5"), ("y", "3"))


def test_a_default_sees_the_args_before_it() -> None:
    """Also those of the same line, from left to right."""
    buildfile = parse(SourceText("Buildfile", "ARG a=1 b=${a}2\nARG c=${b}3\nFROM scratch\n"))
    assert global_scope(buildfile, {}, {}).names == {"a": "1", "b": "12", "c": "123"}


def test_predefined_args_are_there_for_from_lines_and_can_be_given() -> None:
    """BUILDPLATFORM and its like need no declaration in a FROM; a build arg of that name replaces one."""
    buildfile = parse(SourceText("Buildfile", "FROM scratch\n"))
    names = global_scope(buildfile, {"TARGETARCH": "mine"}, platform_args(AMD64, ARM, "app")).names
    assert names["BUILDPLATFORM"] == "linux/amd64"
    assert names["TARGETARCH"] == "mine"


def test_platform_args() -> None:
    """Both platforms in whole and in parts, and the wanted stage; what a platform lacks is empty, not unset."""
    assert platform_args(AMD64, ARM, "app") == {
        "BUILDPLATFORM": "linux/amd64",
        "BUILDOS": "linux",
        "BUILDOSVERSION": "",
        "BUILDARCH": "amd64",
        "BUILDVARIANT": "",
        "TARGETPLATFORM": "linux/arm/v7",
        "TARGETOS": "linux",
        "TARGETOSVERSION": "",
        "TARGETARCH": "arm",
        "TARGETVARIANT": "v7",
        "TARGETSTAGE": "app",
    }


def test_proxies_have_both_spellings() -> None:
    """Five proxies, each in upper and in lower case."""
    assert len(PROXY_NAMES) == 10
    assert {name.upper() for name in PROXY_NAMES} <= PROXY_NAMES


@pytest.mark.parametrize("reader", ["word", "words", "body"])
def test_errors_have_the_place(reader: str) -> None:
    """A word that cannot be expanded is an error at the instruction's lines."""
    with pytest.raises(BuildfileError) as caught:
        getattr(scope(), reader)("${x:?it is needed}", SPAN)
    assert caught.value.span == SPAN
    assert "it is needed" in caught.value.message


def test_three_ways_to_expand() -> None:
    """One word, words that split where a value has spaces, and a body that keeps its quotes."""
    has = scope(env=(("a", "x y"),))
    assert has.word("'$a' \"$a\"", SPAN) == "$a x y"
    assert has.words('$a "$a"', SPAN) == ["x", "y", "x y"]
    assert has.body("'$a'", SPAN) == "'x y'"
