"""What is known of transfers from their events: which are under way and since when, how long each took, and the totals.

Pure: the time comes with each event, from whoever shows it.
"""

from __future__ import annotations

from builder.declare import dataclass
from builder.report.text import human_seconds, human_size
from builder.values.event import Transfer

_DONE = {"pull": "pulled", "push": "pushed", "load": "loaded"}
"""The verbs that are summed up at the end; the others only go with them."""


@dataclass(slots=True)
class Moving:
    """A transfer under way: its latest event, when it began, and when people last heard of it (seconds of a clock)."""

    event: Transfer
    started_s: float
    told_s: float


@dataclass(slots=True)
class _Total:
    started_s: float
    ended_s: float
    count: int = 0
    size_bytes: int = 0


class Transfers:
    """The transfers of a command."""

    def __init__(self) -> None:
        self._moving: dict[tuple[str, str], Moving] = {}
        self._totals: dict[str, _Total] = {}

    @property
    def moving(self) -> list[Moving]:
        """Those under way, in the order in which they began."""
        return list(self._moving.values())

    def take(self, event: Transfer, now_s: float) -> Moving:
        """Take an event in; the transfer as it is now, which is over where `event.done == event.total`."""
        key = (event.verb, event.what)
        moving = self._moving.setdefault(key, Moving(event, now_s, now_s))
        moving.event = event
        total = self._totals.setdefault(event.verb, _Total(now_s, now_s))
        if event.done == event.total:
            del self._moving[key]
            total.count, total.size_bytes, total.ended_s = total.count + 1, total.size_bytes + event.total, now_s
        return moving

    def totals(self) -> list[str]:
        """`pulled 5 layers, 61.2 MB in 3.1s`: a line for each verb that is summed up and had more than one transfer."""
        return [
            f"{_DONE[verb]} {total.count} layers, {human_size(total.size_bytes)}"
            f"{took(total.size_bytes, total.ended_s - total.started_s)}"
            for verb, total in self._totals.items()
            if verb in _DONE and total.count > 1
        ]


def took(size_bytes: int, seconds: float) -> str:
    """` in 3.1s, 19.7 MB/s`; nothing where it took no time that is worth a word."""
    if seconds < 0.05:
        return ""
    return f" in {human_seconds(seconds)}, {speed(size_bytes, seconds)}"


def speed(size_bytes: int, seconds: float) -> str:
    """`19.7 MB/s`."""
    return f"{human_size(round(size_bytes / max(seconds, 0.001)))}/s"
