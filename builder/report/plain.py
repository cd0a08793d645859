"""Plain progress for logs: whole lines, one for each event, output of steps behind the step's label. Nothing is cut."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TextIO

from builder.report import phrases
from builder.report.lines import LineCutter
from builder.report.mask import Mask
from builder.report.text import human_seconds
from builder.report.transfers import Transfers
from builder.values.event import (
    Contacted,
    Event,
    Exported,
    ImageReady,
    Note,
    StepCached,
    StepFinished,
    StepId,
    StepOutput,
    StepStarted,
    StepStopped,
    Transfer,
    Warned,
)

FIRST_PAUSE_S = 2.0
"""A transfer that takes longer than this is mentioned before its end, so that people see what is waited for …"""
TRANSFER_PAUSE_S = 10.0
"""… and then this often."""


class PlainReporter:
    """Writes lines to a stream, each flushed at once."""

    def __init__(self, stream: TextIO, mask: Mask, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._mask = mask
        self._clock = clock
        self._lock = threading.RLock()  # a signal's exception may pass through while it is held
        self._cutters: dict[StepId, LineCutter] = {}
        self._transfers = Transfers()
        self._gone = False
        self._closed = False

    def handle(self, event: Event) -> None:
        """Write the event's lines."""
        with self._lock:
            if not self._closed:
                self._write(self._lines(event))

    def close(self) -> None:
        """Write the ends of lines that steps left open, and how much was transferred in all."""
        with self._lock:
            for step in list(self._cutters):
                self._write(self._rest(step))
            if not self._closed:
                self._write(self._transfers.totals())
            self._closed = True  # a thread that is late must not write below the error that follows

    def _lines(self, event: Event) -> list[str]:
        match event:
            case StepStarted(step, title):
                return [self._headline(step, title)]
            case StepCached(step, title):
                return [self._headline(step, f"CACHED {title}")]
            case StepOutput(step, data):
                cutter = self._cutters.setdefault(step, LineCutter(self._mask))
                return _prefixed(step, cutter.feed(data))
            case StepFinished(step, seconds):
                return [*self._rest(step), f"{phrases.label(step)} done in {human_seconds(seconds)}"]
            case StepStopped(step, seconds):
                return [*self._rest(step), f"{phrases.label(step)} {phrases.stopped(seconds)}"]
            case Transfer():
                return [self._mask.text(line) for line in self._transfer(event)]
            case Note(text):
                return [phrases.note(self._mask.text(text))]
            case Warned():
                return [self._mask.text(phrases.warning(event))]
            case ImageReady() | Exported() | Contacted():
                return []  # the summary at the end says it, and `pybuild builds show`

    def _headline(self, step: StepId, title: str) -> str:
        # Before too: a headline's blanks are joined and its end is cut, perhaps in the middle of a value.
        return self._mask.text(phrases.headline(step, self._mask.text(title)))

    def _rest(self, step: StepId) -> list[str]:
        cutter = self._cutters.pop(step, None)
        return _prefixed(step, cutter.flush()) if cutter else []

    def _transfer(self, event: Transfer) -> list[str]:
        now_s = self._clock()
        moving = self._transfers.take(event, now_s)
        if event.done == event.total:
            return [phrases.transferred(event, now_s - moving.started_s)]
        pause_s = FIRST_PAUSE_S if moving.told_s == moving.started_s else TRANSFER_PAUSE_S
        if now_s - moving.told_s < pause_s:
            return []
        moving.told_s = now_s
        return [phrases.transferring(event)]

    def _write(self, lines: list[str]) -> None:
        if not lines or self._gone:
            return
        try:
            self._stream.write("".join(line + "\n" for line in lines))
            self._stream.flush()
        except (OSError, ValueError):
            self._gone = True  # a closed pipe, a full disk: the image matters more than its log


def _prefixed(step: StepId, lines: list[str]) -> list[str]:
    prefix = f"{phrases.label(step)} |"
    return [f"{prefix} {line}" if line else prefix for line in lines]
