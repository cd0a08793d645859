"""What people see of a build: events, errors and tables as text. Floor 6: nothing below it prints.

A reporter takes a build's events from any thread and shows them on one stream. All text that came from outside (names,
titles, output of steps) goes through `text.printable` first, so that nothing can move the cursor or forge a line.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol, TextIO

from builder.report.mask import NOTHING, Mask
from builder.values.event import Event


class Mode(StrEnum):
    """How a build is shown."""

    PLAIN = "plain"  # one line for each event, for logs
    TTY = "tty"  # a live view on the last lines of a terminal
    QUIET = "quiet"  # nothing


class Reporter(Protocol):
    """Shows events. Never raises because of its stream: when nobody can read it any more, the build goes on."""

    def handle(self, event: Event) -> None:
        """Show one event; may be called from several threads."""

    def close(self) -> None:
        """Show what is still held back and leave the terminal as it was; more than once is harmless."""


def open_reporter(mode: Mode, stream: TextIO, mask: Mask = NOTHING, color: bool = False) -> Reporter:
    """The reporter for a mode; what `mask` hides is never written."""
    match mode:
        case Mode.PLAIN:
            from builder.report.plain import PlainReporter

            return PlainReporter(stream, mask)
        case Mode.TTY:
            from builder.report.tty import TtyReporter

            return TtyReporter(stream, mask, color)
        case Mode.QUIET:
            from builder.report.quiet import QuietReporter

            return QuietReporter()
