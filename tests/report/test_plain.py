"""Plain progress."""

from __future__ import annotations

import contextlib
import io
import threading
from pathlib import Path

import pytest

from builder.report.mask import NOTHING, Mask
from builder.report.plain import PlainReporter
from builder.values.event import Note, StepId, StepOutput, StepStarted, StepStopped, Transfer
from tests.report.recorded import cases, read_timed_events

STEP = StepId("build", 1, 2)


@pytest.mark.parametrize("case", cases("events"), ids=lambda case: case.name)
def test_golden(case: Path) -> None:
    """The events of a case give exactly the lines of its plain.txt."""
    now = [0.0]
    stream = io.StringIO()
    reporter = PlainReporter(stream, NOTHING, clock=lambda: now[0])
    for event, now[0] in read_timed_events(case / "events.jsonl"):
        reporter.handle(event)
    reporter.close()
    assert stream.getvalue() == (case / "plain.txt").read_text(encoding="utf-8")


def test_each_event_is_seen_at_once() -> None:
    """Lines are flushed as they are written, through a buffered stream too."""
    raw = io.BytesIO()
    reporter = PlainReporter(io.TextIOWrapper(io.BufferedWriter(raw, 1 << 20)), NOTHING)
    reporter.handle(StepStarted(STEP, "RUN make", None))
    assert raw.getvalue() == b"[build 1/2] RUN make\n"


def test_a_stopped_step() -> None:
    """The end of a step that was ended in the middle is told, after what was left of its last line."""
    stream = io.StringIO()
    reporter = PlainReporter(stream, NOTHING)
    reporter.handle(StepOutput(STEP, b"half a line"))
    reporter.handle(StepStopped(STEP, 1.5))
    assert stream.getvalue() == "[build 1/2] | half a line\n[build 1/2] stopped after 1.5s\n"


def test_any_locale_will_do() -> None:
    """On a stream that knows only ASCII other characters are written out."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace")
    reporter = PlainReporter(stream, NOTHING)
    reporter.handle(StepOutput(STEP, "größe\n".encode()))
    assert raw.getvalue() == b"[build 1/2] | gr\\xf6\\xdfe\n"


def test_secrets_are_not_shown() -> None:
    """A secret's value in a title, a note or in output is replaced."""
    stream = io.StringIO()
    reporter = PlainReporter(stream, Mask([b"s3cret-value"]))
    reporter.handle(StepStarted(STEP, "RUN echo s3cret-value", None))
    reporter.handle(StepOutput(STEP, b"s3cret-value\n"))
    reporter.handle(Note("s3cret-value"))
    assert "s3cret" not in stream.getvalue()
    assert stream.getvalue().count("***") == 3


def test_a_headline_does_not_change_a_secret_before_it_is_hidden() -> None:
    """Blanks in a row are joined and a long title is cut; the value is looked for before."""
    stream = io.StringIO()
    reporter = PlainReporter(stream, Mask([b"pass  phrase 4711"]))
    reporter.handle(StepStarted(STEP, "RUN echo 'pass  phrase 4711'", None))
    reporter.handle(StepStarted(STEP, "x" * 3990 + "pass  phrase 4711", None))
    assert "phrase" not in stream.getvalue() and "pass" not in stream.getvalue()


def test_long_transfers_are_mentioned_now_and_then() -> None:
    """A transfer has a line when it takes long, then one every ten seconds, and one at its end."""
    now = [0.0]
    stream = io.StringIO()
    reporter = PlainReporter(stream, NOTHING, clock=lambda: now[0])
    for second in range(26):
        now[0] = float(second)
        reporter.handle(Transfer("pull", "base", second * 10**6, 25 * 10**6))
    assert stream.getvalue().splitlines() == [
        "pull base 2.0 MB of 25.0 MB",
        "pull base 12.0 MB of 25.0 MB",
        "pull base 22.0 MB of 25.0 MB",
        "pull base 25.0 MB in 25.0s, 1.0 MB/s",
    ]


def test_the_build_goes_on_without_its_log() -> None:
    """A stream that cannot be written (a closed pipe, a full disk) is an error for nobody."""
    with contextlib.suppress(OSError), open("/dev/full", "w", encoding="utf-8") as stream:
        reporter = PlainReporter(stream, NOTHING)
        reporter.handle(StepStarted(STEP, "RUN make", None))
        reporter.handle(StepStarted(STEP, "RUN make", None))
        reporter.close()
        reached = True  # what the stream still holds fails when it is closed, which is not ours to mend
    assert reached


def test_events_after_the_end_are_dropped() -> None:
    """A thread that is late does not write below what is said at the end."""
    stream = io.StringIO()
    reporter = PlainReporter(stream, NOTHING)
    reporter.handle(Note("first"))
    reporter.close()
    reporter.handle(Note("late"))
    reporter.close()
    assert stream.getvalue() == "note: first\n"


def test_lines_of_parallel_steps_are_whole() -> None:
    """Events from several threads never mix within a line."""
    stream = io.StringIO()
    reporter = PlainReporter(stream, NOTHING)

    def work(index: int) -> None:
        for _ in range(200):
            reporter.handle(StepOutput(StepId("t", index, 4), b"x" * 50 + b"\n"))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 800
    assert all(line.startswith("[t ") and line.endswith("/4] | " + "x" * 50) for line in lines)
