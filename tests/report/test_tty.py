"""The live view on a real terminal."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from builder.report import Mode, Reporter, open_reporter
from builder.report.mask import NOTHING, Mask
from builder.values.event import (
    Event,
    Note,
    StepCached,
    StepFinished,
    StepId,
    StepOutput,
    StepStarted,
    StepStopped,
    Transfer,
    Warned,
)
from tests.report import terminal
from tests.report.terminal import Picture

STEP = StepId("build", 1, 2)


def _show(events: list[Event], mask: Mask = NOTHING, during: Callable[[str], None] = lambda _: None) -> str:
    """What a terminal of 60 columns shows in the end; `during` gets what it shows before the reporter is closed."""
    with terminal.opened() as (ours, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        reporter = open_reporter(Mode.TTY, stream, mask)
        picture = Picture(60)
        for event in events:
            reporter.handle(event)
        time.sleep(0.35)
        picture.write(terminal.read_now(ours))
        during(picture.text())
        reporter.close()
        picture.write(terminal.read_now(ours))
        assert picture.column == 0, "the cursor is left at the beginning of a line"
        return picture.text()


def test_running_steps_are_live_and_finished_ones_stay() -> None:
    """While it runs a step shows its output; when it is over one line is left of it."""
    seen: list[str] = []
    started: list[Event] = [StepStarted(STEP, "RUN make", None), StepOutput(STEP, b"cc a.c\ncc b.c\n")]
    _show(started, during=seen.append)
    assert "[build 1/2] RUN make" in seen[0] and "  | cc a.c\n  | cc b.c" in seen[0]
    text = _show([*started, StepFinished(STEP, 3.2)])
    assert text == "[build 1/2] RUN make" + " " * 35 + "3.2s"


def test_cached_steps_notes_and_warnings_scroll_away_as_lines() -> None:
    """What happens at once leaves its line in order."""
    text = _show(
        [Note("single id"), StepCached(STEP, "COPY . /"), Warned("Rule", "text", None), Transfer("pull", "x", 5, 5)]
    )
    assert text.split("\n") == [
        "note: single id",
        "[build 1/2] COPY . /" + " " * 33 + "CACHED",
        "warning: Rule: text",
        "pull x 5 B",
    ]


def test_several_transfers_are_live_and_leave_a_line_each() -> None:
    """Those under way have a line each; what is over scrolls away, and the totals come at the end."""
    seen: list[str] = []
    events: list[Event] = [Transfer("pull", name, done, 8_000_000) for done in (0, 4_000_000) for name in "abc"]
    text = _show([*events, Transfer("pull", "b", 8_000_000, 8_000_000)], during=seen.append)
    lines = seen[0].split("\n")
    assert lines[0].startswith("pull b 8.0 MB")
    assert [line.split()[:6] for line in lines[1:]] == [["pull", name, "4.0", "MB", "/", "8.0"] for name in "ac"]
    assert text == lines[0], "what never ended leaves nothing"
    over: list[Event] = [Transfer("pull", name, 5_000, 5_000) for name in "ab"]
    assert "pulled 2 layers, 10.0 kB" in _show([*events[:2], *over])


def test_a_stopped_build_says_which_steps_were_running() -> None:
    """A step that never finished leaves a line, and nothing of the live view is left."""
    text = _show([StepStarted(STEP, "RUN sleep 100", None), StepOutput(STEP, b"waiting\n")])
    assert text.startswith("[build 1/2] RUN sleep 100") and "stopped after 0." in text
    assert "waiting" not in text


def test_a_stopped_step_scrolls_away_beside_one_that_runs() -> None:
    """One of two live steps is ended: it leaves a line that says so, and the other one stays live."""
    other = StepId("other", 1, 1)
    started: list[Event] = [StepStarted(STEP, "RUN make", None), StepStarted(other, "RUN sleep", None)]
    frames: list[str] = []
    text = _show([*started, StepStopped(STEP, 1.5)], during=frames.append)
    assert "stopped after 1.5s" in text and "RUN make" in frames[-1] and "RUN sleep" in frames[-1]


def test_secrets_and_control_characters_do_not_reach_the_terminal() -> None:
    """Live lines are as harmless as plain ones."""
    seen: list[str] = []
    _show(
        [StepStarted(STEP, "RUN \x1b[2Jx", None), StepOutput(STEP, b"\x1b[2Jtoken s3cret-value\x07\n")],
        Mask([b"s3cret-value"]),
        seen.append,
    )
    assert "  | token ***\\x07" in seen[0] and "RUN x" in seen[0]


def test_drawing_is_limited() -> None:
    """A step that writes without pause is drawn some ten times a second."""
    with terminal.opened() as (ours, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        reporter = open_reporter(Mode.TTY, stream)
        reporter.handle(StepStarted(STEP, "RUN yes", None))
        began = time.monotonic()
        drawn = ""
        while drawn.count("\x1b[J") < 4 and time.monotonic() - began < 30:
            reporter.handle(StepOutput(STEP, b"y\n" * 100))
            drawn += terminal.read_now(ours)
        took_s = time.monotonic() - began
        reporter.close()
        assert 4 <= drawn.count("\x1b[J") <= 12 * took_s + 2


def test_events_after_the_end_are_dropped() -> None:
    """A thread that is late neither writes nor fails, and closing twice is harmless."""
    with terminal.opened() as (ours, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        reporter: Reporter = open_reporter(Mode.TTY, stream)
        reporter.handle(Note("first"))
        reporter.close()
        terminal.read_now(ours)
        reporter.handle(Note("late"))
        reporter.close()
        time.sleep(0.2)
        assert terminal.read_now(ours) == ""
        assert not any(thread.name == "progress" and thread.is_alive() for thread in threading.enumerate())
