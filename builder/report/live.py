"""What the live view shows, as a function from the state of the build to lines. Pure; `tty` draws them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from builder.declare import dataclass, field
from builder.report import phrases
from builder.report.lines import LineCutter
from builder.report.text import cut, human_seconds, human_size, printable, spread
from builder.report.transfers import Moving, speed
from builder.values.event import Transfer

MOST_LINES = 16
MOST_TAIL = 5
_BAR = 20
_WIDE = 72  # columns from which there is room for a bar and a speed


@dataclass(slots=True)
class LiveStep:
    """A step that is running: its line, when it began, and its latest lines of output."""

    headline: str
    started_s: float
    cutter: LineCutter
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_TAIL))


@dataclass(frozen=True, slots=True)
class Size:
    """A terminal's size in characters."""

    columns: int
    rows: int


def frame(steps: Iterable[LiveStep], transfers: Iterable[Moving], size: Size, now_s: float) -> list[str]:
    """The lines of the live view, none as wide as the terminal (so that none wraps) and fewer than it has rows."""
    running, moving = list(steps), list(transfers)
    columns, room = size.columns - 1, max(min(size.rows - 1, MOST_LINES), 1)
    tail_room = _tail_room(len(running), room - len(moving))
    lines: list[str] = []
    for step in running:
        lines.append(spread(step.headline, human_seconds(now_s - step.started_s), columns))
        lines += [cut(f"  | {line}", columns) for line in list(step.tail)[-tail_room:] if tail_room]
    lines += [_transfer_line(transfer, columns, now_s) for transfer in moving]
    if len(lines) <= room:
        return lines
    return [*lines[: room - 1], cut(f"  and {len(lines) - room + 1} more", columns)]


def _tail_room(steps: int, room: int) -> int:
    """How many lines of output each step may show."""
    return max(min((room - steps) // steps, MOST_TAIL), 0) if steps else 0


def _transfer_line(transfer: Moving, columns: int, now_s: float) -> str:
    event, seconds = transfer.event, now_s - transfer.started_s
    left = f"{printable(event.verb)} {printable(event.what)}"
    if event.total <= 0:
        return spread(left, human_size(event.done), columns)
    if event.done <= 0:  # it has not begun, or (unpack) does not say how far it is: a bar would seem stuck
        return spread(left, f"{human_size(event.total)}  {human_seconds(seconds)}", columns)
    how_far = f"{human_size(event.done)} / {human_size(event.total)}"
    if columns < _WIDE:
        return spread(left, f"{how_far} {_percent(event):3d}%", columns)
    full = min(_BAR * event.done // event.total, _BAR)
    bar = f"[{'=' * full}{' ' * (_BAR - full)}]"
    return spread(left, f"{bar} {_percent(event):3d}%  {how_far}  {speed(event.done, seconds):>10}", columns)


def _percent(event: Transfer) -> int:
    """How much has come; 100 is for what is over."""
    return min(100 * event.done // event.total, 99)


def finished(headline: str, right: str, columns: int) -> str:
    """The line that a step leaves behind when it is over."""
    return spread(headline, right, columns - 1)


def transfer_done(event: Transfer, seconds: float, columns: int) -> str:
    """The line that a transfer leaves behind; `seconds` is how long it took."""
    return cut(phrases.transferred(event, seconds), columns - 1)
