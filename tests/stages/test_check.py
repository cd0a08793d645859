"""Tests for build checks in a build, and for checking alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from builder.errors import BuildfileError, ImageError, UsageError
from builder.pipeline import check
from builder.source import SourceText
from builder.store import Store
from builder.values.event import Note, Warned
from builder.values.platform import Platform
from builder.values.request import BuildRequest
from tests.stages.builds import Bench, base, row


def warned(bench: Bench) -> list[str]:
    """What the last build warned of."""
    return [event.rule for event in bench.events if isinstance(event, Warned)]


def checked(bench: Bench, text: str, **asked: Any) -> list[tuple[str, int]]:
    """The rules and lines of what `--check` finds."""
    bench.events.clear()
    request = BuildRequest(bench.context, SourceText("Buildfile", text), **asked)
    with Store.open(bench.root) as store:
        found = check(request, store, bench.events.append)
    return [(warning.rule, warning.span.first) for warning in found]


@pytest.fixture
def image(tmp_path: Path) -> str:
    """A base that sets a variable and has a trigger that sets another."""
    config = {"Env": ["PATH=/bin", "HOME_OF=/x"], "OnBuild": ["ENV TRIGGERED=1"]}
    return base(tmp_path / "image", [[row("etc")]], config=config)


class TestBuild:
    """A build tells what the checks find and goes on."""

    def test_what_bases_set(self, bench: Bench, image: str) -> None:
        """A variable that the base or its triggers set is defined; one that nobody sets is not."""
        bench.build(f"FROM {image}\nENV A=$HOME_OF B=$TRIGGERED C=$NOBODY\n")
        assert warned(bench) == ["UndefinedVar"]

    def test_through_a_stage(self, bench: Bench, image: str) -> None:
        """Variables come through the stages between."""
        bench.build(f"ARG B=one\nFROM {image} AS one\nARG ONE=1\nENV TWO=2\nFROM $B\nENV X=$ONE$TWO$HOME_OF\n")
        assert warned(bench) == []

    def test_ignored_source(self, bench: Bench) -> None:
        """A source that the ignore file hides is told of, and what comes of it is an error of its own."""
        bench.file(".dockerignore", "secret*\n")
        bench.file("secret.txt")
        bench.file("open.txt")
        bench.build("FROM scratch\nCOPY *.txt /\n")
        assert warned(bench) == []
        assert checked(bench, "FROM scratch\nCOPY secret.txt /\n") == [("CopyIgnoredFile", 2)]

    def test_platform(self, bench: Bench, tmp_path: Path) -> None:
        """A base for another platform than this machine's is told of; nobody has asked for a platform."""
        other = base(tmp_path / "other", [[row("etc")]], ("linux/s390x",))
        bench.build(f"FROM {other.removesuffix(':latest')}\n")
        assert "InvalidBaseImagePlatform" in warned(bench)

    def test_stages_that_are_not_built(self, bench: Bench) -> None:
        """Rules about what a stage does are silent in a stage that is not built; those about the text are not."""
        text = "FROM scratch AS Not\nCMD x\nFROM scratch\nENV A=$B\n"
        bench.build(text)
        assert warned(bench) == ["StageNameCasing", "UndefinedVar"]
        assert ("JSONArgsRecommended", 2) in checked(bench, text)

    def test_skip(self, bench: Bench) -> None:
        """A rule that is skipped is not told of, be it one that needs more than the text."""
        bench.build("# check=skip=UndefinedVar\nFROM scratch\nENV A=$B\n")
        assert warned(bench) == []

    def test_error(self, bench: Bench) -> None:
        """With error=true findings are told of, and end the build before its first step."""
        error = bench.fails(BuildfileError, "# check=error=true\nFROM scratch\nWORKDIR /x\nENV A=$B\n")
        assert "UndefinedVar" in error.message
        assert error.span is not None
        assert (error.span.first, warned(bench), bench.started) == (4, ["UndefinedVar"], [])

    def test_asked_on_the_command_line(self, bench: Bench) -> None:
        """BUILDKIT_DOCKERFILE_CHECK takes the place of the directive."""
        text = "# check=error=true\nFROM scratch\nENV A=$B\n"
        bench.build(text, build_args=(("BUILDKIT_DOCKERFILE_CHECK", "skip=UndefinedVar"),))
        assert warned(bench) == []
        bench.fails(UsageError, text, build_args=(("BUILDKIT_DOCKERFILE_CHECK", "skip"),))

    def test_without_its_base(self, bench: Bench) -> None:
        """A build that finds no base has still told what the text shows."""
        bench.fails(ImageError, "FROM oci:/nowhere AS A\n")
        assert warned(bench) == ["StageNameCasing"]

    def test_foreign_frontend(self, bench: Bench) -> None:
        """A foreign frontend is named once, and the file is read as a Dockerfile."""
        bench.build("# syntax=some/frontend:1\nFROM scratch\nLABEL a=b\n")
        assert [note for note in bench.notes if "some/frontend:1" in note]


class TestCheck:
    """Checking alone builds nothing."""

    def test_every_stage(self, bench: Bench) -> None:
        """Every stage is looked at; with a target only that one and what it needs."""
        text = "FROM scratch AS a\nENV X=$A\nFROM a AS b\nENV X=$B\nFROM scratch\nENV X=$C\n"
        assert checked(bench, text) == [("UndefinedVar", 2), ("UndefinedVar", 4), ("UndefinedVar", 6)]
        assert checked(bench, text, target="b") == [("UndefinedVar", 2), ("UndefinedVar", 4)]

    def test_missing_base(self, bench: Bench) -> None:
        """A base that cannot be had is told of, and nothing is said or demanded of what it may set."""
        text = 'FROM oci:/nowhere AS a\nENV X=$A\nRUN ["x"]\nUSER ${B:?}\nFROM a\nENV Y=$B\nCMD x\n'
        assert checked(bench, text) == [("JSONArgsRecommended", 7)]
        assert len([event for event in bench.events if isinstance(event, Note)]) == 1

    def test_errors(self, bench: Bench) -> None:
        """What cannot be built whatever the bases are is an error all the same."""
        with pytest.raises(BuildfileError, match="stage"):
            checked(bench, "FROM oci:/nowhere\nFROM scratch\nCOPY --from=7 /a /b\n")

    def test_platform(self, bench: Bench, tmp_path: Path) -> None:
        """A base that there is not for the wanted platform is told of as well."""
        other = base(tmp_path / "other", [[row("etc")]], ("linux/s390x",)).removesuffix(":latest")
        assert checked(bench, f"FROM {other}\n", platform=Platform.parse("linux/amd64")) == []
        assert [event for event in bench.events if isinstance(event, Note)]


class TestCredentials:
    """Values that look like credentials."""

    def test_build_args(self, bench: Bench) -> None:
        """A build and a check tell of them, in the stages that they look at; no message holds the value."""
        text = "FROM scratch AS other\nARG T\nFROM scratch\nARG T\nENV A=1\n"
        given = {"build_args": (("T", "https://me:hunter2@example.com"),)}
        bench.build(text, **given)
        assert warned(bench) == ["CredentialInValue"]
        assert checked(bench, text, **given) == [("CredentialInValue", 2), ("CredentialInValue", 4)]
        assert "hunter2" not in str(bench.events)
