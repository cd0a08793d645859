"""Drawing the last lines of a terminal."""

from __future__ import annotations

import contextlib
import io
import os

from builder.report.live import Size
from builder.report.screen import Screen
from tests.report import terminal
from tests.report.terminal import Picture


def test_live_lines_are_replaced_and_others_stay() -> None:
    """Each drawing takes the place of the one before; lines above it scroll away."""
    with terminal.opened() as (ours, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        screen, picture = Screen(stream), Picture(60)
        screen.show([], ["one", "two"])
        screen.show(["done"], ["three"])
        picture.write(terminal.read_now(ours))
        assert picture.text() == "done\nthree"
        screen.show(["end"], [])
        picture.write(terminal.read_now(ours))
        assert picture.text() == "done\nend"
        assert picture.column == 0


def test_a_terminal_that_was_made_narrower() -> None:
    """Lines that wrapped since they were drawn are erased with all their rows."""
    with terminal.opened(40, 20) as (ours, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        screen = Screen(stream)
        screen.show(["kept"], ["x" * 39, "y" * 10])
        terminal.read_now(ours)
        picture = Picture(20)
        picture.write("kept\r\n" + "x" * 39 + "\r\n" + "y" * 10)  # as a terminal of 20 columns shows it now
        terminal.resize(theirs, 20, 20)
        screen.show([], ["z"])
        picture.write(terminal.read_now(ours))
        assert picture.text() == "kept\nz"


def test_the_size_of_what_is_no_terminal() -> None:
    """A stream that has no size counts as 80 by 24."""
    assert Screen(io.StringIO()).size() == Size(80, 24)


def test_a_terminal_that_went_away() -> None:
    """Writing to a closed terminal is an error for nobody."""
    with contextlib.suppress(OSError), open("/dev/full", "w", encoding="utf-8") as stream:
        screen = Screen(stream)
        screen.show(["line"], ["live"])
        screen.show(["line"], [])
        reached = True  # what the stream still holds fails when it is closed, which is not ours to mend
    assert reached
