"""What happens in a build, remembered on its way to whoever shows it; kept in the store when the build is over.

Only a build that did a step is kept: one that is all cached costs nothing here and tells nothing new.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from builder.errors import StoreError
from builder.values.event import (
    Contacted,
    Emit,
    Event,
    ImageReady,
    StepCached,
    StepFinished,
    StepId,
    StepStarted,
    StepStopped,
)
from builder.values.request import BuildRequest

if TYPE_CHECKING:
    from builder.store.store import Store
    from builder.values.build import BuildRecord, BuiltStep, Outcome
    from builder.values.contact import Contact, Contacts


class BuildLog:
    """Hears every event and passes it on: one at a time, whatever threads they come from, and none after the end."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._began_s = time.time()
        self._titles: dict[StepId, str] = {}
        self._started: dict[StepId, bool] = {}
        self._seconds: dict[StepId, float] = {}
        self._contacts: dict[StepId, Contacts] = {}
        self._stopped: set[StepId] = set()
        self._image: ImageReady | None = None
        self._lock = threading.Lock()
        self._is_over = False

    def hear(self, event: Event) -> None:
        """Remember what is to be kept of it."""
        with self._lock:
            if not self._is_over:  # a thread that was left behind may be late
                self._take(event)
                self._emit(event)

    def _take(self, event: Event) -> None:
        match event:
            case StepStarted(step, title):
                self._titles[step], self._started[step] = title, True
            case StepCached(step, title):
                self._titles[step], self._started[step] = title, False
            case StepFinished(step, seconds):
                self._seconds[step] = seconds
            case StepStopped(step):
                self._stopped.add(step)
            case Contacted(step, contacts):
                self._contacts[step] = contacts
            case ImageReady():
                self._image = event

    def close(self) -> None:
        """The build is over: nothing is heard from now on."""
        with self._lock:
            self._is_over = True

    def keep(self, request: BuildRequest, store: Store) -> None:
        """Write it down, if a step was done. Raises StoreError."""
        if any(self._started.values()):
            store.builds.put(self._record(request))

    def _record(self, request: BuildRequest) -> BuildRecord:
        from builder.values.build import BuildRecord

        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self._began_s))
        return BuildRecord(
            f"{stamp}-{os.urandom(3).hex()}",
            self._began_s,
            time.time() - self._began_s,
            tuple(name.familiar for name in request.tags),
            "" if self._image is None else str(self._image.manifest),
            str(request.network),
            tuple(self._steps(request)),
        )

    def _steps(self, request: BuildRequest) -> Iterator[BuiltStep]:
        from builder.values.build import BuiltStep, Outcome
        from builder.values.contact import Contacts

        hidden = _hidden(request)
        for step, was_started in self._started.items():
            outcome = self._outcome(step) if was_started else Outcome.CACHED
            contacts = self._contacts.get(step, Contacts())
            kept = Contacts(tuple(_redacted(contact, hidden) for contact in contacts.kept), contacts.more)
            title = _without(self._titles[step], hidden)
            yield BuiltStep(step, title, outcome, self._seconds.get(step, 0.0), kept)

    def _outcome(self, step: StepId) -> Outcome:
        from builder.values.build import Outcome

        if step in self._seconds:
            return Outcome.DONE
        return Outcome.STOPPED if step in self._stopped else Outcome.FAILED


@contextmanager
def logged(request: BuildRequest, store: Store, emit: Emit) -> Iterator[Emit]:
    """What hears the events of a build; it is kept however the build ends. Where it cannot be, nobody suffers."""
    log = BuildLog(emit)
    try:
        yield log.hear
    finally:
        log.close()
        with suppress(StoreError):
            log.keep(request, store)


def _hidden(request: BuildRequest) -> tuple[str, ...]:
    """All forms of the build's secrets, the longest first."""
    if not request.secrets:
        return ()
    from builder.values.traces import shown_forms

    forms = {form for secret in request.secrets for form in shown_forms(secret.value)}
    return tuple(form.decode("utf-8", "surrogateescape") for form in sorted(forms, key=len, reverse=True))


def _redacted(contact: Contact, hidden: tuple[str, ...]) -> Contact:
    from builder.declare import replace

    if not hidden:
        return contact
    return replace(
        contact,
        host=_without(contact.host, hidden),
        path=_without(contact.path, hidden),
        refusal=_without(contact.refusal, hidden),
        failure=_without(contact.failure, hidden),
    )


def _without(text: str, hidden: tuple[str, ...]) -> str:
    for form in hidden:
        text = text.replace(form, "***")
    return text
