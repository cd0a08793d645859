"""What is remembered of a build."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import StepFailed, StoreError
from builder.stages import buildlog
from builder.stages.buildlog import logged
from builder.store import Store
from builder.values.build import Outcome
from builder.values.contact import Contact, Contacts
from builder.values.digest import Digest
from builder.values.event import (
    Contacted,
    Event,
    ImageReady,
    StepCached,
    StepFinished,
    StepId,
    StepStarted,
    StepStopped,
)
from builder.values.reference import Reference
from builder.values.request import BuildRequest, Secret

ONE, TWO = StepId("a", 1, 2), StepId("a", 2, 2)
REQUEST = BuildRequest(Path("/"), tags=(Reference.parse("app:1"),), secrets=(Secret("s", b"hunter2-hunter2"),))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path) as opened:
        yield opened


def test_what_happened_is_kept(store: Store) -> None:
    """Each step with how it ended and whom it talked to, the image, and no secret; events are passed on."""
    events: list[Event] = [
        StepCached(ONE, "COPY a b"),
        StepStarted(TWO, "RUN x hunter2-hunter2", None),
        Contacted(TWO, Contacts((Contact("GET", "h", 80, "/hunter2-hunter2"),), 1)),
        StepFinished(TWO, 1.5),
        ImageReady(Digest.parse("sha256:" + "1" * 64), ("app:1",), 5),
    ]
    heard: list[Event] = []
    with logged(REQUEST, store, heard.append) as hear:
        for event in events:
            hear(event)
    assert heard == events
    (record,) = store.builds.all()
    assert record.names == ("app:1",) and record.image == "sha256:" + "1" * 64 and record.network == "default"
    assert [(step.step, step.outcome, step.seconds) for step in record.steps] == [
        (ONE, Outcome.CACHED, 0.0),
        (TWO, Outcome.DONE, 1.5),
    ]
    assert record.steps[1].contacts == Contacts((Contact("GET", "h", 80, "/***"),), 1)
    assert record.steps[1].title == "RUN x ***"


def test_a_build_that_did_nothing_is_not(store: Store) -> None:
    """One that was cached as a whole leaves no record."""
    with logged(REQUEST, store, lambda _: None) as hear:
        hear(StepCached(ONE, "RUN x"))
    assert not store.builds.ids()


def test_a_build_that_fails_is(store: Store) -> None:
    """The step that it failed in is told apart, and the error goes on."""
    with pytest.raises(StepFailed), logged(REQUEST, store, lambda _: None) as hear:
        hear(StepStarted(ONE, "RUN x", None))
        raise StepFailed("no")
    (record,) = store.builds.all()
    assert record.steps[0].outcome is Outcome.FAILED and not record.image


def test_a_record_that_cannot_be_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk at that point spoils no build."""

    def full(*_: object) -> None:
        raise StoreError("no space left")

    monkeypatch.setattr(buildlog.BuildLog, "keep", full)
    with logged(REQUEST, store, lambda _: None) as hear:
        hear(StepStarted(ONE, "RUN x", None))
    assert not store.builds.ids()


def test_how_steps_ended_beside_each_other(store: Store) -> None:
    """A step that was only stopped is not the one that failed, and what comes late is not heard any more."""
    heard: list[Event] = []
    with pytest.raises(StepFailed), logged(REQUEST, store, heard.append) as hear:
        for event in (StepStarted(ONE, "RUN a", None), StepStarted(TWO, "RUN b", None), StepStopped(ONE, 1.0)):
            hear(event)
        raise StepFailed("it failed")
    hear(StepStopped(TWO, 1.0))
    (record,) = store.builds.all()
    assert [step.outcome for step in record.steps] == [Outcome.STOPPED, Outcome.FAILED] and len(heard) == 3
