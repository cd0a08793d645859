"""How each event is worded, the same in every reporter. Pure."""

from __future__ import annotations

from builder.pattern import pattern
from builder.report.text import human_seconds, human_size, printable
from builder.report.transfers import took
from builder.source import Span
from builder.values.event import StepId, Transfer, Warned

_BLANKS = pattern(r"[ \t]{2,}")
_MOST_TITLE = 4000  # characters of a step's title: a here-document of a megabyte would bury all else


def label(step: StepId) -> str:
    """`[build 2/5]`."""
    return f"[{printable(step.target)} {step.index}/{step.count}]"


def headline(step: StepId, title: str) -> str:
    """`[build 2/5] RUN make`; the blanks that joined lines leave are one blank here, and endless ones are cut."""
    text = _BLANKS.sub(" ", printable(title[:_MOST_TITLE]))
    return f"{label(step)} {text}{'...' if len(title) > _MOST_TITLE else ''}"


def stopped(seconds: float) -> str:
    """What is said of a step that was ended in the middle."""
    return f"stopped after {human_seconds(seconds)}"


def warning(event: Warned) -> str:
    """`warning: StageNameCasing: ... (Buildfile:3)`."""
    return f"warning: {printable(event.rule)}: {printable(event.text)}{_place(event.span)}"


def note(text: str) -> str:
    """`note: ...`."""
    return f"note: {printable(text)}"


def transferred(event: Transfer, seconds: float) -> str:
    """A transfer that is over: `pull 3c1d7e22aa10 12.3 MB in 1.2s, 10.2 MB/s`."""
    return f"{_transfer(event)}{took(event.total, seconds)}"


def transferring(event: Transfer) -> str:
    """A transfer on its way: `pull 3c1d7e22aa10 4.0 MB of 12.3 MB`; a total of 0 or less is not known."""
    total = f" of {human_size(event.total)}" if event.total > 0 else ""
    return _transfer(event) + total


def _transfer(event: Transfer) -> str:
    return f"{printable(event.verb)} {printable(event.what)} {human_size(event.done)}"


def _place(span: Span | None) -> str:
    return f" ({printable(str(span))})" if span is not None else ""
