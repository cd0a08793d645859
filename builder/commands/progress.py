"""Progress of a command that moves images: opened the same way by all of them (pull, push, copy, save, load)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from builder.commands.caller import Caller
from builder.report import Mode, open_reporter
from builder.values.event import Emit


@contextmanager
def shown(caller: Caller, quiet: bool) -> Iterator[Emit]:
    """Show the events of the block on standard error: live on a terminal, else as lines; `quiet` shows nothing.

    What is given takes events from any thread. At the end of the block, however it ends, the totals are said and the
    terminal is left as it was.
    """
    reporter = open_reporter(mode_for(caller, quiet), caller.stderr, color=caller.color)
    try:
        yield reporter.handle
    finally:
        reporter.close()


def mode_for(caller: Caller, quiet: bool) -> Mode:
    """How progress is shown to this caller."""
    if quiet:
        return Mode.QUIET
    return Mode.TTY if caller.live else Mode.PLAIN
