"""Progress of commands that move images."""

from __future__ import annotations

import pytest

from builder.commands.progress import mode_for, shown
from builder.errors import ImageError
from builder.report import Mode
from builder.values.event import Note
from tests.commands.callers import caller, remarked, said


def test_events_are_shown_on_standard_error() -> None:
    """Standard output stays free for results."""
    who = caller()
    with shown(who, quiet=False) as emit:
        emit(Note("from a thread or not"))
    assert "from a thread or not" in remarked(who)
    assert said(who) == ""


def test_quiet_shows_nothing() -> None:
    """With -q nothing is written."""
    who = caller()
    with shown(who, quiet=True) as emit:
        emit(Note("nobody reads this"))
    assert remarked(who) == ""


def test_no_terminal_gets_lines() -> None:
    """A live view is only for terminals."""
    assert mode_for(caller(), quiet=False) is Mode.PLAIN
    assert mode_for(caller(), quiet=True) is Mode.QUIET


def test_an_error_ends_the_progress() -> None:
    """The error goes on to whoever tells it, below everything that was shown; what comes late is dropped."""
    who = caller()
    with pytest.raises(ImageError), shown(who, quiet=False) as emit:
        raise ImageError("no")
    emit(Note("late"))
    assert remarked(who) == ""
