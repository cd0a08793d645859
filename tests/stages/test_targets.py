"""Targets: those that do not wait for each other are built at the same time, with the same result as one by one."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from builder.errors import ContextError, StepFailed
from builder.stages.targets import jobs
from builder.values.event import Event, Note, StepFinished, StepId, StepStarted, StepStopped
from builder.values.request import BuildRequest
from tests.stages.builds import Bench, content

SHARED = "--mount=type=cache,id=meet,target=/meet"
MEET = "i=0; until [ -e /meet/{other} ] || [ $i = 400 ]; do sleep 0.05; i=$((i+1)); done; [ -e /meet/{other} ]"


def _meeting(own: str, other: str) -> str:
    """A RUN that comes to a good end only if another one is there at the same time."""
    return f"RUN {SHARED} touch /meet/{own}; {MEET.format(other=other)}; touch /{own}\n"


@pytest.mark.kernel
def test_targets_run_at_the_same_time(bench: Bench, busybox: str) -> None:
    """Two RUNs of different targets that wait for each other both end well."""
    image = bench.build(
        f"FROM {busybox} AS a\n{_meeting('a', 'b')}FROM {busybox} AS b\n{_meeting('b', 'a')}"
        f"FROM {busybox}\nCOPY --from=a /a /a\nCOPY --from=b /b /b\n"
    )
    assert content(image, "/a") == content(image, "/b") == ""
    assert bench.problems() == []


@pytest.mark.kernel
def test_only_the_step_that_takes_waits(bench: Bench, busybox: str) -> None:
    """The last target's first step runs beside the target that a later step of it copies from."""
    bench.build(f"FROM {busybox} AS a\n{_meeting('a', 'b')}FROM {busybox}\n{_meeting('b', 'a')}COPY --from=a /a /a\n")
    assert bench.problems() == []


@pytest.mark.kernel
def test_one_job(bench: Bench, busybox: str) -> None:
    """With one job no two steps are under way at a time, and the order is that of the Buildfile."""
    stages = "".join(f"FROM {busybox} AS s{n}\nRUN echo {n} > /f\n" for n in range(3))
    bench.build(f"{stages}FROM scratch\n" + "".join(f"COPY --from=s{n} /f /{n}\n" for n in range(3)), jobs=1)
    kinds = [type(event) for event in bench.events if isinstance(event, StepStarted | StepFinished)]
    assert kinds == [StepStarted, StepFinished] * 6


@pytest.mark.kernel
def test_the_same_image_with_one_job_and_with_eight(bench: Bench, busybox: str) -> None:
    """How much is done at a time changes no byte."""
    stages = "".join(f"FROM {busybox} AS s{n}\nRUN echo {n} > /f; mkdir /d\nCOPY c /d/c\n" for n in range(5))
    bench.file("c", "c")
    text = f"ARG SOURCE_DATE_EPOCH=1000\n{stages}FROM scratch\n"
    text += "".join(f"COPY --from=s{n} / /{n}/\n" for n in range(5))
    one = bench.build(text, jobs=1)
    many = bench.build(text, jobs=8, no_cache=True)
    assert len(bench.started) == 15
    assert many.digest == one.digest


@pytest.mark.kernel
def test_the_same_step_twice(bench: Bench, busybox: str) -> None:
    """A step that two targets have is done by one of them, and the other waits for what comes of it."""
    same = f"RUN {SHARED} echo x >> /meet/count; sleep 0.3; cp /meet/count /count\n"
    image = bench.build(
        f"FROM {busybox} AS a\n{same}FROM {busybox} AS b\n{same}FROM scratch\n"
        "COPY --from=a /count /a\nCOPY --from=b /count /b\n"
    )
    assert content(image, "/a") == content(image, "/b") == "x\n"
    assert len([title for title in bench.cached if title.startswith("RUN")]) == 1


@pytest.mark.kernel
def test_an_error_ends_the_others(bench: Bench, busybox: str) -> None:
    """The first error is told with its place; the step beside it is ended, and what was done before stays known."""
    text = (
        f"FROM {busybox} AS a\nRUN touch /first\nRUN {SHARED} touch /meet/a; sleep 600\n"
        f"FROM {busybox} AS b\nRUN {SHARED} {MEET.format(other='a')}; exit 3\n"
        "FROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n"
    )
    error = bench.fails(StepFailed, text)
    assert "exit code 3" in error.message and error.span is not None and error.span.first == 5
    assert [event.step.target for event in bench.events if isinstance(event, StepStopped)] == ["a"]
    assert bench.problems() == []
    bench.build(f"FROM {busybox} AS a\nRUN touch /first\n")
    assert bench.cached == ["RUN touch /first"]


@pytest.mark.kernel
def test_caches_taken_in_another_order(bench: Bench, busybox: str) -> None:
    """Two steps that want the same locked caches, each in its own order, do not wait for each other for ever."""
    one, other = (f"--mount=type=cache,id={name},sharing=locked,target=/{name}" for name in "xy")
    steps = "".join(
        f"FROM {busybox} AS s{n}\n" + "".join(f"RUN {' '.join(caches)} echo {n} {k}\n" for k in range(3))
        for n, caches in enumerate(((one, other), (other, one)))
    )
    bench.build(f"{steps}FROM scratch\nCOPY --from=s0 /etc /0\nCOPY --from=s1 /etc /1\n")
    assert len(bench.started) == 8


@pytest.mark.kernel
def test_a_cache_that_a_step_has_twice(bench: Bench, busybox: str) -> None:
    """A step that shows a locked cache at two places does not wait for itself."""
    one, other = (f"--mount=type=cache,id=x,sharing=locked,target=/{name}" for name in "xy")
    bench.build(f"FROM {busybox}\nRUN {one} {other} echo here > /x/f; cat /y/f\n")
    assert bench.output == "here\n"


@pytest.mark.kernel
def test_a_wait_for_a_cache_is_ended_too(bench: Bench, busybox: str) -> None:
    """A step that waits for a locked cache when another target fails does not go on waiting."""
    locked = "--mount=type=cache,id=x,sharing=locked,target=/x"
    text = (
        f"FROM {busybox} AS a\nRUN {locked} {SHARED} touch /meet/a; sleep 600\n"
        f"FROM {busybox} AS b\nRUN {SHARED} {MEET.format(other='a')}\nRUN {locked} sleep 600\n"
        f"FROM {busybox} AS c\nRUN {SHARED} {MEET.format(other='a')}; sleep 0.2; exit 4\n"
        "FROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\nCOPY --from=c / /\n"
    )
    assert "exit code 4" in bench.fails(StepFailed, text).message
    assert not [thread for thread in threading.enumerate() if thread.name == "target"]


def test_copies_of_one_context(bench: Bench) -> None:
    """Targets that copy the same files at the same time have the same layer, whose files were read once."""
    bench.file("big", bytes(range(256)) * 4096)
    stages = "".join(f"FROM scratch AS s{n}\nCOPY big /{n}\n" for n in range(6))
    image = bench.build(f"{stages}FROM scratch\n" + "".join(f"COPY --from=s{n} / /\n" for n in range(6)))
    assert all(image.node(f"/{n}") is not None for n in range(6)) and bench.problems() == []


def test_an_error_without_a_step(bench: Bench) -> None:
    """What is missing in the context is told at its place, whichever target is first to find it."""
    bench.file("f", "x")
    text = "FROM scratch AS a\nCOPY f /f\nCOPY f /g\nFROM scratch\nCOPY nothing /\nCOPY --from=a / /\n"
    error = bench.fails(ContextError, text)
    assert error.span is not None and error.span.first == 5


_WATCHED = """
import sys, threading
from pathlib import Path
begun = []
start = threading.Thread.start
threading.Thread.start = lambda thread: (begun.append(thread.name), start(thread))
from builder.pipeline import build
from builder.source import SourceText
from builder.store import Store
from builder.values.request import BuildRequest
with Store.open(Path(sys.argv[1])) as store:
    build(BuildRequest(Path(sys.argv[2]), SourceText("Buildfile", sys.argv[3])), store, lambda event: None)
print(begun, "builder.stages.crew" in sys.modules)
"""


def test_a_cached_build_starts_no_thread(bench: Bench) -> None:
    """Where every step is known there is nothing to do at the same time; nor is there with a single target."""
    bench.file("f", "x")
    text = "FROM scratch AS a\nCOPY f /f\nFROM scratch AS b\nCOPY f /g\nFROM a\nCOPY --from=b / /\n"
    bench.build(text)
    for buildfile in (text, "FROM scratch\nCOPY f /new\n"):
        words = [sys.executable, "-c", _WATCHED, str(bench.root), str(bench.context), buildfile]
        assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "[] False\n"


def test_how_many(bench: Bench) -> None:
    """As many as are asked for, and without a word at least four."""
    assert jobs(BuildRequest(bench.context, jobs=3)) == 3
    assert jobs(BuildRequest(bench.context)) >= 4


def test_stopped_while_targets_run(bench: Bench) -> None:
    """Ctrl-C reaches a build of several targets at once, and leaves a sound store."""
    bench.file("f", "x")

    def stop(event: Event) -> None:
        if isinstance(event, StepStarted | Note) and threading.current_thread() is not threading.main_thread():
            raise KeyboardInterrupt

    bench.meanwhile = stop
    with pytest.raises(KeyboardInterrupt):
        bench.build("FROM scratch AS a\nCOPY f /f\nFROM scratch\nCOPY f /g\nCOPY --from=a / /\n")
    bench.meanwhile = repr
    assert bench.problems() == []


def test_a_name_for_each(bench: Bench) -> None:
    """Every step is told of under its own target."""
    bench.file("f", "x")
    bench.build("FROM scratch AS a\nCOPY f /f\nFROM scratch AS b\nCOPY f /f2\nFROM a\nCOPY --from=b / /\n")
    steps = [event.step for event in bench.events if isinstance(event, StepStarted)]
    assert {StepId("a", 1, 1), StepId("b", 1, 1)} < set(steps) and len(steps) == len(set(steps)) == 3
