"""How each event is worded, the same in every reporter. Pure."""

from __future__ import annotations

import re

from builder.report.text import human_size, printable
from builder.source import Span
from builder.values.event import StepId, Transfer, Warned

_BLANKS = re.compile(r"[ \t]{2,}")


def label(step: StepId) -> str:
    """`[build 2/5]`."""
    return f"[{printable(step.target)} {step.index}/{step.count}]"


def headline(step: StepId, title: str) -> str:
    """`[build 2/5] RUN make`; the blanks that joined lines leave are one blank here."""
    return f"{label(step)} {_BLANKS.sub(' ', printable(title))}"


def warning(event: Warned) -> str:
    """`warning: StageNameCasing: ... (Buildfile:3)`."""
    return f"warning: {printable(event.rule)}: {printable(event.text)}{_place(event.span)}"


def note(text: str) -> str:
    """`note: ...`."""
    return f"note: {printable(text)}"


def transferred(event: Transfer) -> str:
    """A transfer that is over: `pull sha256:... 12.3 MB`."""
    return f"{printable(event.verb)} {printable(event.what)} {human_size(event.done)}"


def transferring(event: Transfer) -> str:
    """A transfer on its way: `pull sha256:... 4.0 MB of 12.3 MB`; a total of 0 or less is not known."""
    total = f" of {human_size(event.total)}" if event.total > 0 else ""
    return transferred(event) + total


def _place(span: Span | None) -> str:
    return f" ({printable(str(span))})" if span is not None else ""
