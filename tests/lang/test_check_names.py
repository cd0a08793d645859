"""Tests of the build checks that follow names."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from builder.lang.checks import undefined_variables
from builder.values.instruction import Block
from tests.lang.reading import parsed


def _found(text: str) -> list[tuple[str, int]]:
    return [(warning.rule, warning.span.first) for warning in parsed(text).warnings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ARG A=b\nFROM $A", []),
        ("ARG A\nFROM $A", [("InvalidDefaultArgInFrom", 2)]),
        ("ARG A\nFROM ${A:-b}", []),
        ("ARG A=b\nFROM x:${A}c${B}", [("UndefinedArgInFrom", 2)]),
        ("ARG T=\nFROM a:$T", [("InvalidDefaultArgInFrom", 2)]),
        ("ARG B=x\nARG A=${B}y\nFROM $A", []),
        ("ARG D\nFROM oci:$D", []),
        ("ARG D=rootfs:../Base\nFROM $D", []),
        ("ARG D=./Base\nFROM $D", []),
        ("FROM No/Variables", []),
        ("FROM scratch", []),
        ("FROM --platform=$BUILDPLATFORM a", []),
        ("FROM --platform=$TARGETPLATFORM a", [("RedundantTargetPlatform", 1)]),
        ("FROM --platform=${TARGETPLATFORM} a", [("RedundantTargetPlatform", 1)]),
        ("FROM --platform=linux/amd64 a", [("FromPlatformFlagConstDisallowed", 1)]),
        ("FROM --platform=linux/amd64 a AS b_amd64", []),
        ("FROM --platform=linux/amd64 a AS linux", []),
        ("FROM --platform=a/b/c/d a", []),
        ("FROM --platform=$NOPE a", [("UndefinedArgInFrom", 1)]),
        ("FROM ${a^}", []),
    ],
)
def test_names_in_from(text: str, expected: list[tuple[str, int]]) -> None:
    """FROM knows the global ARGs and the platform's, and its checks look at what they give by default."""
    assert _found(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ENV a=$b", [2]),
        ("ENV a=$PATH", []),
        ("ARG b\nENV a=$b", []),
        ("ENV b=1 a=$b", [2]),
        ("ENV b=1\nENV a=${b:-$c}", [3]),
        ("ENV a=${c:-d}", [2]),
        ("ENV a='$b' c=\\$d", []),
        ("LABEL a=$b", [2]),
        ("COPY $a b", [2]),
        ("COPY --chown=$a --chmod=$b c d", [2, 2]),
        ("COPY <<E d\n$a\nE", [2]),
        ("COPY <<'E' d\n$a\nE", []),
        ("WORKDIR $a", [2]),
        ("USER $a", [2]),
        ("STOPSIGNAL $a", [2]),
        ("VOLUME $a", [2]),
        ("EXPOSE $a", [2]),
        ("ARG a=$b", [2]),
        ("RUN --mount=target=$a true", [2]),
        ("RUN echo $a", []),
        ('CMD ["$a"]', []),
        ("ENV a=$TARGETPLATFORM", [2]),
    ],
)
def test_undefined_names(text: str, expected: list[int]) -> None:
    """A name that neither ARG nor ENV sets before it is used is found, wherever variables are replaced."""
    assert [line for rule, line in _found("FROM scratch\n" + text) if rule == "UndefinedVar"] == expected


def test_suggestions() -> None:
    """A name near the wrong one is offered."""
    warnings = parsed("ARG IMAGE=a\nFROM $IMGE\nFROM scratch\nENV COLOUR=red\nLABEL a=$COLUOR\n").warnings
    assert [warning.message for warning in warnings if warning.rule.startswith("Undefined")] == [
        "FROM argument 'IMGE' is not declared (did you mean IMAGE?)",
        "Usage of undefined variable '$COLUOR' (did you mean $COLOUR?)",
    ]


def test_names_of_earlier_blocks_are_inherited() -> None:
    """A block that builds on another knows its ARGs and ENV."""
    assert _found("FROM scratch AS a\nENV b=1\nARG c\nFROM a\nENV d=$b e=$c f=$g") == [("UndefinedVar", 5)]


def test_unknown_bases_hold_the_check_back() -> None:
    """What an image's ENV sets is not in the text, so nothing is said until somebody knows."""

    def names_of(block: Block) -> Collection[str] | None:
        return {"known": ("JAVA_HOME",)}.get(block.from_.image)

    buildfile = parsed("FROM known\nENV a=$JAVA_HOME b=$JAVA_HOEM\nFROM other\nENV a=$x\n")
    assert buildfile.warnings == ()
    (warning,) = undefined_variables(buildfile, names_of)
    assert warning.message == "Usage of undefined variable '$JAVA_HOEM' (did you mean $JAVA_HOME?)"
