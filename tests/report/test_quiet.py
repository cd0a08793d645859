"""The quiet reporter."""

from __future__ import annotations

import io

from builder.report import Mode, open_reporter
from builder.values.event import Note, StepId, StepOutput


def test_quiet_shows_nothing() -> None:
    """Neither events nor the end write anything."""
    stream = io.StringIO()
    reporter = open_reporter(Mode.QUIET, stream)
    reporter.handle(Note("single id"))
    reporter.handle(StepOutput(StepId("a", 1, 1), b"text\n"))
    reporter.close()
    assert stream.getvalue() == ""
