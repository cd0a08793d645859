"""What the live view shows, as a function from the state of the build to lines. Pure; `tty` draws them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from builder.report import phrases
from builder.report.lines import LineCutter
from builder.report.text import cut, human_seconds, human_size, printable, spread
from builder.values.event import Transfer

MOST_LINES = 16
MOST_TAIL = 5
_BAR = 20


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


def frame(steps: Iterable[LiveStep], transfers: Iterable[Transfer], size: Size, now_s: float) -> list[str]:
    """The lines of the live view, none as wide as the terminal (so that none wraps) and fewer than it has rows."""
    running, moving = list(steps), list(transfers)
    columns, room = size.columns - 1, max(min(size.rows - 1, MOST_LINES), 1)
    tail_room = _tail_room(len(running), room - len(moving))
    lines: list[str] = []
    for step in running:
        lines.append(spread(step.headline, human_seconds(now_s - step.started_s), columns))
        lines += [cut(f"  | {line}", columns) for line in list(step.tail)[-tail_room:] if tail_room]
    lines += [_transfer_line(event, columns) for event in moving]
    if len(lines) <= room:
        return lines
    return [*lines[: room - 1], cut(f"  and {len(lines) - room + 1} more", columns)]


def _tail_room(steps: int, room: int) -> int:
    """How many lines of output each step may show."""
    return max(min((room - steps) // steps, MOST_TAIL), 0) if steps else 0


def _transfer_line(event: Transfer, columns: int) -> str:
    left = f"{printable(event.verb)} {printable(event.what)}"
    if event.total <= 0:
        return spread(left, human_size(event.done), columns)
    full = min(_BAR * event.done // event.total, _BAR)
    bar = f"[{'=' * full}{' ' * (_BAR - full)}] " if columns >= 72 else ""
    return spread(left, f"{bar}{human_size(event.done)} / {human_size(event.total)}", columns)


def finished(headline: str, right: str, columns: int) -> str:
    """The line that a step leaves behind when it is over."""
    return spread(headline, right, columns - 1)


def transfer_done(event: Transfer, columns: int) -> str:
    """The line that a transfer leaves behind."""
    return cut(phrases.transferred(event), columns - 1)
