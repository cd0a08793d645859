"""Errors as people read them."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest

from builder.errors import BY_NAME, BuildfileError, Interrupted, PybuildError, StepFailed
from builder.report.errors import exit_code_of, mask_bug, masked, render
from builder.report.mask import Mask
from builder.source import SourceText, Span
from tests.report.recorded import cases


def _error(case: Path) -> PybuildError:
    fields = json.loads((case / "error.json").read_text(encoding="utf-8"))
    kind = BY_NAME[fields.pop("kind")]
    place = fields.pop("place", None)
    if "tail" in fields:
        fields["tail"] = tuple(fields["tail"])
    error = kind(fields.pop("message"), **fields)
    if place is not None:
        name, first, last = place
        error.at(Span(SourceText(name, (case / "Buildfile").read_text(encoding="utf-8")), first, last))
    return error


@pytest.mark.parametrize("case", cases("errors"), ids=lambda case: case.name)
def test_golden(case: Path) -> None:
    """The error of a case is shown exactly as in its expected.txt."""
    assert render(_error(case), color=False) + "\n" == (case / "expected.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", cases("errors"), ids=lambda case: case.name)
def test_color_adds_nothing_but_color(case: Path) -> None:
    """On a terminal the same text has colours, and each is switched off again."""
    colored = render(_error(case), color=True)
    assert colored.count("\x1b[0m") >= 1
    plain = colored
    for sequence in ("\x1b[0m", "\x1b[1m", "\x1b[31m"):
        plain = plain.replace(sequence, "")
    assert plain == render(_error(case), color=False)


def test_a_long_place_is_shown_by_its_ends() -> None:
    """Of a heredoc of a thousand lines the beginning and the end are shown, and how much is between."""
    text = "FROM a\nRUN <<EOF\n" + "echo line\n" * 1000 + "EOF\nCMD x\n"
    shown = render(BuildfileError("too long", span=Span(SourceText("Buildfile", text), 2, 1003)), color=False)
    assert len(shown.splitlines()) < 18
    assert "(993 lines)" in shown
    assert ">>> 1003 | EOF" in shown and "    1004 | CMD x" in shown


def test_secrets_are_taken_out_of_an_error() -> None:
    """Message, hint, command and output of a failed step lose the values of secrets."""
    error = StepFailed(
        "curl s3cret-value", hint="s3cret-value", command="curl s3cret-value", status=1, tail=("at s3cret-value",)
    )
    shown = render(masked(error, Mask([b"s3cret-value"])), color=False)
    assert "s3cret" not in shown
    assert shown.count("***") == 4


def test_colours_do_not_keep_a_secret_in_the_last_output() -> None:
    """A value that escape sequences cut in two, as grep shows what it found, is hidden like any other."""
    error = StepFailed("failed", status=1, tail=("s3cret\x1b[01;31m\x1b[K-value\x1b[m", "\x1b[31mred\x1b[0m \x07"))
    shown = render(masked(error, Mask([b"s3cret-value"])), color=False)
    assert "    | ***\n    | red \\x07" in shown


def test_exit_codes_of_signals() -> None:
    """An interruption exits with 128 and the signal's number, other errors with their own code."""
    assert exit_code_of(Interrupted(signal_number=2)) == 130
    assert exit_code_of(Interrupted(signal_number=15)) == 143
    assert exit_code_of(BuildfileError("x")) == 3


@pytest.mark.parametrize(
    ("status", "words"), [(137, "137 (killed by SIGKILL)"), (127, "127 (command not found)"), (3, "3")]
)
def test_statuses_are_explained(status: int, words: str) -> None:
    """A status that stands for a signal or a missing command says so."""
    assert f"exit status: {words}" in render(StepFailed("failed", status=status), color=False)


def test_secrets_are_taken_out_of_the_place() -> None:
    """The lines of the Buildfile that are shown lose the values too, and stay the same lines."""
    source = SourceText("Buildfile", "FROM a\nRUN echo s3cret-value\n")
    shown = render(masked(BuildfileError("no", span=Span(source, 2, 2)), Mask([b"s3cret-value"])), color=False)
    assert ">>> 2 | RUN echo ***" in shown


def test_secrets_are_taken_out_of_a_traceback() -> None:
    """Also what was not foreseen, and what led to it, is shown without the values."""
    try:
        try:
            raise OSError(2, "no", "/s3cret-value")
        except OSError as cause:
            raise ValueError("s3cret-value") from cause
    except ValueError as error:
        mask_bug(error, Mask([b"s3cret-value"]))
        shown = "".join(traceback.format_exception(error)[:-1])
        assert "'/***'" in shown
        assert str(error) == "***"
