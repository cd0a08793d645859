"""The steps of a target, one after the other: from the cache where their keys are known, else done and remembered."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from builder.errors import ContextError, PybuildError, StoreError
from builder.stages.export import timestamp
from builder.stages.perform import Done, Outcome, history_of
from builder.values.event import Event, StepFinished, StepStarted
from builder.values.stack import Stack
from tests.stages.builds import Bench, content

BUILDFILE = "FROM scratch\nCOPY a /a\nLABEL x=y\nCOPY b /b\nCOPY c /c\n"


@pytest.fixture
def three(bench: Bench) -> Bench:
    """A context with the three files of BUILDFILE."""
    for name in ("a", "b", "c"):
        bench.file(name, name)
    return bench


def test_a_second_build_does_nothing(three: Bench) -> None:
    """Every step is known, and the image is the very same."""
    first = three.build(BUILDFILE)
    assert three.started == ["COPY a /a", "COPY b /b", "COPY c /c"]
    second = three.build(BUILDFILE)
    assert three.started == [] and three.cached == ["COPY a /a", "COPY b /b", "COPY c /c"]
    assert second.digest == first.digest


def test_a_change_in_the_middle(three: Bench) -> None:
    """What comes before a changed step is known, the step and all after it are done again."""
    three.build(BUILDFILE)
    three.file("b", "B")
    image = three.build(BUILDFILE)
    assert (three.cached, three.started) == (["COPY a /a"], ["COPY b /b", "COPY c /c"])
    assert content(image, "/b") == "B"


def test_a_config_line_costs_nothing(three: Bench) -> None:
    """A changed LABEL makes another image of the same layers."""
    first = three.build(BUILDFILE)
    second = three.build(BUILDFILE.replace("x=y", "x=z"))
    assert three.started == [] and second.diff_ids == first.diff_ids and second.digest != first.digest


def test_no_cache(three: Bench) -> None:
    """With --no-cache all is done, and remembered again."""
    three.build(BUILDFILE)
    three.build(BUILDFILE, no_cache=True)
    assert len(three.started) == 3
    three.build(BUILDFILE)
    assert three.started == []


def test_steps_are_numbered(three: Bench) -> None:
    """People hear of each step's number among those of its target, when it starts and when it is done."""
    three.build("FROM scratch AS one\nCOPY a /a\nFROM scratch AS two\nCOPY --from=one a /a\nENV A=1\nCOPY b /b\n")
    steps = [event.step for event in three.events if isinstance(event, StepStarted)]
    assert [(step.target, step.index, step.count) for step in steps] == [("one", 1, 1), ("two", 1, 2), ("two", 2, 2)]
    assert [event.step for event in three.events if isinstance(event, StepFinished)] == steps


def test_errors_have_a_place(three: Bench) -> None:
    """Whatever a step raises is shown at its instruction."""
    error = three.fails(ContextError, BUILDFILE.replace("COPY b", "COPY nothing"))
    assert error.span is not None and error.span.first == 4
    assert three.started == ["COPY a /a"]


def test_a_record_without_its_layer(three: Bench) -> None:
    """A remembered outcome whose blob is gone is no outcome: the step is done again."""
    three.build(BUILDFILE)
    assert three.result is not None
    blob = three.result.image.layers[1].descriptor.digest
    (three.root / "blobs" / "sha256" / blob.hex).unlink()
    image = three.build(BUILDFILE)
    assert three.started == ["COPY b /b"] and content(image, "/b") == "b"
    assert three.problems() == []


def test_a_damaged_record(three: Bench) -> None:
    """A record that cannot be read counts as none."""
    three.build(BUILDFILE)
    for path in (three.root / "pybuild" / "steps").iterdir():
        path.write_bytes(b"{")
    three.build(BUILDFILE)
    assert len(three.started) == 3 and three.problems() == []


def test_an_interrupted_build_keeps_what_is_done(three: Bench) -> None:
    """Steps that were whole before the end came are known to the next build."""

    def stop(event: Event) -> None:
        if isinstance(event, StepStarted) and event.title == "COPY b /b":
            raise KeyboardInterrupt

    three.meanwhile = stop
    with pytest.raises(KeyboardInterrupt):
        three.build(BUILDFILE)
    three.meanwhile = repr
    three.build(BUILDFILE)
    assert three.cached == ["COPY a /a"] and three.problems() == []


def test_no_room_in_the_store(three: Bench) -> None:
    """A disk that is full in the middle of a step is a StoreError at its place, however deep it was met."""
    path = three.context / "b"

    def fill(event: Event) -> None:
        if isinstance(event, StepStarted) and event.title == "COPY b /b":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    three.meanwhile = fill
    error = three.fails(StoreError, BUILDFILE)
    assert "no space left" in error.message and error.span is not None and error.span.first == 4
    assert isinstance(error, PybuildError) and "--root" in (error.hint or "")


def test_a_history_line_for_each_action() -> None:
    """What has no time of its own has the image's; what made no layer is an empty one."""
    outcome = Outcome(Stack(), (Done("COPY a /a", 100, True), Done("ENV A=1", 0, False)))
    lines = history_of(outcome, 200, timestamp)
    assert [(line.created_by, line.created, line.empty_layer) for line in lines] == [
        ("COPY a /a", "1970-01-01T00:01:40Z", False),
        ("ENV A=1", "1970-01-01T00:03:20Z", True),
    ]


def test_another_place_of_the_context(three: Bench, tmp_path: Path) -> None:
    """Where the context lies is in no key: a copy of it elsewhere builds nothing anew."""
    three.build(BUILDFILE)
    three.context.rename(tmp_path / "moved")
    (tmp_path / "context").symlink_to("moved")
    three.build(BUILDFILE)
    assert three.started == []
