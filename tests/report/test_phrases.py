"""The wording of events."""

from __future__ import annotations

from builder.report import phrases
from builder.source import SourceText, Span
from builder.values.event import StepId, Transfer, Warned

STEP = StepId("build\x1b[2J", 2, 5)


def test_steps_are_numbered_within_their_target() -> None:
    """A step is called by its target and number; control characters of names are neutralised."""
    assert phrases.headline(STEP, "RUN make\nall") == "[build 2/5] RUN make\\x0aall"


def test_joined_lines_are_shown_without_their_indentation() -> None:
    """Where lines were continued, the blanks between them are shown as one."""
    assert phrases.headline(StepId("0", 1, 1), "RUN a &&     b \t c") == "[0 1/1] RUN a && b c"


def test_endless_titles_are_cut() -> None:
    """A command of a megabyte does not fill the log."""
    assert phrases.headline(StepId("0", 1, 1), "RUN " + "x" * 1_000_000) == "[0 1/1] RUN " + "x" * 3996 + "..."


def test_warnings_name_their_rule_and_place() -> None:
    """A warning ends with file and line, if there is a place."""
    span = Span(SourceText("Buildfile", "FROM a\nfrom b"), 2, 2)
    assert phrases.warning(Warned("Casing", "mixed case", span)) == "warning: Casing: mixed case (Buildfile:2)"
    assert phrases.warning(Warned("Casing", "mixed case", None)) == "warning: Casing: mixed case"


def test_transfers_say_how_far_they_are() -> None:
    """A transfer shows what is there of how much; an unknown total is not shown; at its end how long it took."""
    assert (
        phrases.transferring(Transfer("pull", "debian:12", 20_100_000, 60_100_000))
        == "pull debian:12 20.1 MB of 60.1 MB"
    )
    assert phrases.transferring(Transfer("pull", "x", 5, 0)) == "pull x 5 B"
    whole = Transfer("pull", "x\x07", 60_100_000, 60_100_000)
    assert phrases.transferred(whole, 2.0) == "pull x\\x07 60.1 MB in 2.0s, 30.1 MB/s"
    assert phrases.transferred(whole, 0.01) == "pull x\\x07 60.1 MB"
