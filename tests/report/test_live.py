"""The lines of the live view."""

from __future__ import annotations

import pytest

from builder.report.lines import LineCutter
from builder.report.live import MOST_LINES, LiveStep, Size, finished, frame, transfer_done
from builder.report.mask import NOTHING
from builder.report.text import width_of
from builder.report.transfers import Moving
from builder.values.event import Transfer


def _step(name: str, *tail: str) -> LiveStep:
    step = LiveStep(f"[{name} 1/2] RUN make all", 10.0, LineCutter(NOTHING))
    step.tail.extend(tail)
    return step


def _moving(event: Transfer) -> Moving:
    return Moving(event, 10.0, 10.0)


def test_a_step_shows_its_time_and_last_output() -> None:
    """The step's line ends in its running time; its latest lines follow."""
    assert frame([_step("a", "one", "two")], [], Size(41, 24), 12.5) == [
        "[a 1/2] RUN make all                2.5s",
        "  | one",
        "  | two",
    ]


def test_a_transfer_shows_how_far_it_is() -> None:
    """A wide terminal has a bar and a speed, a narrow one the figures; without a total there is only what has come."""
    half = _moving(Transfer("pull", "1f2e3d4c5b6a", 30_000_000, 60_000_000))
    assert frame([], [half], Size(80, 24), 14.0) == [
        "pull 1f2e3d4c5b6a    [==========          ]  50%  30.0 MB / 60.0 MB    7.5 MB/s"
    ]
    assert frame([], [half], Size(51, 24), 14.0) == ["pull 1f2e3d4c5b6a           30.0 MB / 60.0 MB  50%"]
    assert frame([], [_moving(Transfer("pull", "x", 5, 0))], Size(41, 24), 14.0) == ["pull x" + " " * 31 + "5 B"]


def test_a_transfer_that_does_not_say_how_far_it_is_shows_its_time() -> None:
    """An unpack tells of its beginning and its end only: no bar stands at nothing for long."""
    unpack = _moving(Transfer("unpack", "1f2e3d4c5b6a", 0, 60_000_000))
    assert frame([], [unpack], Size(41, 24), 13.5) == ["unpack 1f2e3d4c5b6a        60.0 MB  3.5s"]


def test_what_is_under_way_is_never_all_there() -> None:
    """Whatever a source tells, 100% is for what is over."""
    line = frame([], [_moving(Transfer("pull", "x", 9_999, 10_000))], Size(51, 24), 14.0)[0]
    assert line.endswith(" 99%")


@pytest.mark.parametrize("columns", [1, 5, 20, 80])
@pytest.mark.parametrize("rows", [1, 2, 5, 24])
def test_the_view_fits_any_terminal(columns: int, rows: int) -> None:
    """No line is as wide as the terminal and there are fewer lines than rows, however much happens."""
    steps = [_step(f"t{number}", "wide 日本語 " * 20, "x" * 500) for number in range(20)]
    transfers = [_moving(Transfer("pull", "y" * 100, done, 2)) for done in (0, 1, 1, 2, 2)]
    lines = frame(steps, transfers, Size(columns, rows), 99.0)
    assert len(lines) <= max(rows - 1, 1) and len(lines) <= MOST_LINES
    assert all(width_of(line) < max(columns, 2) for line in lines)


def test_steps_come_before_their_output_when_there_is_little_room() -> None:
    """With many steps each loses output lines before another step loses its line; what is left out is counted."""
    steps = [_step(f"t{number}", "out") for number in range(5)]
    lines = frame(steps, [], Size(60, 6), 10.0)
    assert [line[:3] for line in lines] == ["[t0", "[t1", "[t2", "[t3", "[t4"]
    assert frame(steps, [], Size(60, 4), 10.0)[-1] == "  and 3 more"


def test_what_stays_behind() -> None:
    """Finished steps and transfers leave one line that fits."""
    assert finished("[a 1/2] RUN make", "CACHED", 41) == "[a 1/2] RUN make                  CACHED"
    assert transfer_done(Transfer("pull", "x" * 60, 5, 5), 1.0, 31) == "pull " + "x" * 22 + "..."
