"""The live view of a build on a terminal: finished steps scroll away as lines, what runs is redrawn below them.

Events only change the state; a thread draws it, at most ten times a second, so that a step which writes a million lines
costs no more than one that sleeps.
"""

from __future__ import annotations

import threading
import time
from typing import TextIO

from builder.declare import replace
from builder.report import phrases
from builder.report.lines import LineCutter
from builder.report.live import LiveStep, finished, frame, transfer_done
from builder.report.mask import Mask
from builder.report.screen import Screen
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

PAUSE_S = 0.1
"""The least time between two drawings."""
CLOCK_S = 1.0
"""How often the running times are brought up to date when nothing else happens."""

_YELLOW, _GREEN, _PLAIN = "\x1b[33m", "\x1b[32m", "\x1b[0m"


class TtyReporter:
    """Shows a build on a terminal."""

    def __init__(self, stream: TextIO, mask: Mask, color: bool) -> None:
        self._screen = Screen(stream)
        self._mask = mask
        self._color = color
        self._lock = threading.RLock()  # a signal's exception may pass through while it is held
        self._steps: dict[StepId, LiveStep] = {}
        self._transfers = Transfers()
        self._above: list[str] = []
        self._changed = False
        self._drawn_s = 0.0
        self._closed = threading.Event()
        self._painter: threading.Thread | None = None

    def handle(self, event: Event) -> None:
        """Take an event into the state that is drawn."""
        with self._lock:
            if self._closed.is_set():
                return
            self._take(event)
            self._changed = True
            if self._painter is None:
                self._painter = threading.Thread(target=self._paint, name="progress", daemon=True)
                self._painter.start()

    def close(self) -> None:
        """Erase the live lines; steps that were still running leave a line that says so. The totals come last."""
        if self._closed.is_set():
            return
        self._closed.set()
        with self._lock:
            now = time.monotonic()
            for step in self._steps.values():
                self._leave(step.headline, phrases.stopped(now - step.started_s))
            self._screen.show([*self._above, *self._transfers.totals()], [])
            self._above = []
            self._steps.clear()

    def _take(self, event: Event) -> None:
        match event:
            case StepStarted(step, title):
                headline = self._headline(step, title)
                self._steps[step] = LiveStep(headline, time.monotonic(), LineCutter(self._mask))
            case StepCached(step, title):
                self._steps.pop(step, None)
                self._leave(self._headline(step, title), "CACHED")
            case StepOutput(step, data):
                self._output(step, data)
            case StepFinished(step, seconds):
                self._end(step, human_seconds(seconds))
            case StepStopped(step, seconds):
                self._end(step, phrases.stopped(seconds))
            case Transfer():
                self._transfer(event)
            case Note(text):
                self._above.append(phrases.note(self._mask.text(text)))
            case Warned():
                self._above.append(self._colored(_YELLOW, self._mask.text(phrases.warning(event))))
            case ImageReady() | Exported() | Contacted():
                pass  # the summary at the end says it, and `pybuild builds show`

    def _headline(self, step: StepId, title: str) -> str:
        # Before too: a headline's blanks are joined and its end is cut, perhaps in the middle of a value.
        return self._mask.text(phrases.headline(step, self._mask.text(title)))

    def _output(self, step: StepId, data: bytes) -> None:
        running = self._steps.get(step)
        if running is not None:
            running.tail.extend(line for line in running.cutter.feed(data) if line.strip())

    def _end(self, step: StepId, right: str) -> None:
        running = self._steps.pop(step, None)
        self._leave(running.headline if running else phrases.label(step), right)

    def _transfer(self, event: Transfer) -> None:
        now_s = time.monotonic()
        event = replace(event, what=self._mask.text(event.what))
        transfer = self._transfers.take(event, now_s)
        if event.done == event.total:
            self._above.append(transfer_done(event, now_s - transfer.started_s, self._screen.size().columns))

    def _leave(self, headline: str, right: str) -> None:
        self._above.append(self._colored(_GREEN, finished(headline, right, self._screen.size().columns)))

    def _colored(self, color: str, line: str) -> str:
        return f"{color}{line}{_PLAIN}" if self._color else line

    def _paint(self) -> None:
        while not self._closed.wait(PAUSE_S):
            with self._lock:
                if not self._closed.is_set():
                    self._draw(time.monotonic())

    def _draw(self, now_s: float) -> None:
        if not self._changed and now_s - self._drawn_s < CLOCK_S:
            return
        live = frame(self._steps.values(), self._transfers.moving, self._screen.size(), now_s)
        self._screen.show(self._above, live)
        self._above, self._changed, self._drawn_s = [], False, now_s
