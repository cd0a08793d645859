"""The door: nothing is started before there is work for it, and what was started ends with the build."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from builder.errors import ContextError, Interrupted, MachineError
from builder.kernel.namespace import probe
from builder.kernel.worker_handle import Worker
from builder.stages.door import _SLOWER, Door
from builder.values.crossing import Networked, NetworkJob, Ran, Removed, RemoveJob, RootKind
from builder.values.event import Event
from tests.stages.builds import Bench

_WATCHED = """
import sys
from pathlib import Path
STARTS = ("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system", "subprocess.Popen")
started = []
sys.addaudithook(lambda event, words: started.append(event) if event in STARTS else None)
from builder.pipeline import build
from builder.source import SourceText
from builder.store import Store
from builder.values.request import BuildRequest
with Store.open(Path(sys.argv[1])) as store:
    build(BuildRequest(Path(sys.argv[2]), SourceText("Buildfile", sys.argv[3])), store, lambda event: None)
ours = ("builder.kernel.spawn", "builder.kernel.worker_handle", "builder.kernel.sandbox")
heavy = (*ours, "subprocess", "requests", "pyroute2", "click")
print(started, sorted(set(heavy) & set(sys.modules)))
"""


def _watched(bench: Bench, buildfile: str) -> str:
    words = [sys.executable, "-c", _WATCHED, str(bench.root), str(bench.context), buildfile]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.kernel
def test_a_cached_build_never_opens_it(bench: Bench, busybox: str) -> None:
    """When every step is known no process is started, and nothing that could start one is even imported."""
    bench.file("f", "x")
    buildfile = f"FROM {busybox}\nRUN --mount=type=bind,target=/c echo hi > /a\nCOPY f /f\nWORKDIR /w/d\nCMD x\n"
    bench.build(buildfile)
    assert len(bench.started) == 3
    assert _watched(bench, buildfile) == "[] []\n"


def test_a_build_without_run_never_opens_it(bench: Bench) -> None:
    """COPY, ADD and WORKDIR need no namespace, not even the first time."""
    bench.file("f", "x")
    assert _watched(bench, "FROM scratch\nCOPY f /f\nADD f /g\nWORKDIR /w\n") == "[] []\n"


def _worker_of(door: Door) -> Worker | None:
    return door._worker


@pytest.mark.kernel
def test_it_opens_once(tmp_path: Path) -> None:
    """Several threads that need the worker at the same time share one, and it ends when the door closes."""
    events: list[Event] = []
    with Door(tmp_path, events.append) as door:
        assert _worker_of(door) is None
        found: list[Worker | None] = []

        def use() -> None:
            door.call(RemoveJob(()), Removed)
            found.append(_worker_of(door))

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(map(id, found))) == 1 and len(found) == 4
        assert door.rung is probe()
        worker = found[0]
    assert worker is not None
    with pytest.raises(Exception, match="stopped"):
        worker.call(RemoveJob(()))


@pytest.mark.kernel
def test_it_can_be_opened_early(tmp_path: Path) -> None:
    """Who is told that there will be work starts the worker meanwhile; it is the one that the work gets."""
    with Door(tmp_path, list[Event]().append) as door:
        door.open_early()
        door.open_early()
        door.call(RemoveJob(()), Removed)
        worker = _worker_of(door)
    assert worker is not None and door.is_open
    with Door(tmp_path, list[Event]().append) as unused:
        unused.open_early()
    worker = _worker_of(unused)  # the end of the block has waited for it
    assert worker is not None
    with pytest.raises(Exception, match="stopped"):
        worker.call(RemoveJob(()))


@pytest.mark.kernel
def test_the_network_of_a_closed_door_is_what_its_worker_begins_with(tmp_path: Path) -> None:
    """Asked for before there is a worker, it comes with the start; of one that is there it is a job. Once each."""
    job = NetworkJob(places="/nowhere")
    for is_open in (False, True):
        events: list[Event] = []
        with Door(tmp_path, events.append) as door:
            if is_open:
                door.call(RemoveJob(()), Removed)
            door.prepare_network(job)
            answers = [door.network(job), door.network(job)]
            worker = _worker_of(door)
            assert worker is not None and not worker.has_begun
        assert answers == [Networked("", failures="neither pasta nor slirp4netns is installed")] * 2
        assert len([event for event in events if "this machine's own network" in str(event)]) == 1


@pytest.mark.kernel
def test_a_cleared_door_begins_with_no_network(tmp_path: Path) -> None:
    """Whoever tidies up afterwards runs no steps."""
    with Door(tmp_path, list[Event]().append) as door:
        door.network(NetworkJob(places="/nowhere"))
        door.clear()
        door.call(RemoveJob(()), Removed)
        worker = _worker_of(door)
        assert worker is not None and not worker.has_begun


def test_an_early_door_that_does_not_open() -> None:
    """That it could not be opened is told to who has work for it, and to nobody else."""
    with Door(Path("not/absolute"), list[Event]().append) as door:
        door.open_early()
    with pytest.raises(ValueError, match="not an absolute path"), Door(Path("not/absolute"), print) as door:
        door.open_early()
        door.call(RemoveJob(()), Removed)


@pytest.mark.kernel
def test_it_is_shut_at_once_on_an_error(tmp_path: Path) -> None:
    """An error on our side ends the worker with everything in it."""
    with pytest.raises(MachineError, match="ours"), Door(tmp_path, list[Event]().append) as door:
        door.call(RemoveJob(()), Removed)
        raise MachineError("ours")
    worker = _worker_of(door)
    assert worker is not None
    with pytest.raises(Exception, match="stopped"):
        worker.call(RemoveJob(()))


@pytest.mark.kernel
def test_it_is_cleared(tmp_path: Path) -> None:
    """Clearing ends the worker; from then on only who has cleared it is let through, to a new one."""
    with Door(tmp_path, list[Event]().append) as door:
        door.call(RemoveJob(()), Removed)
        before, refused = _worker_of(door), list[str]()
        door.clear()

        def late() -> None:
            with pytest.raises(Interrupted, match="stopped") as error:
                door.call(RemoveJob(()), Removed)
            refused.append(error.value.message)

        thread = threading.Thread(target=late)
        thread.start()
        thread.join()
        assert len(refused) == 1 and door.is_open
        door.call(RemoveJob(()), Removed)
        assert _worker_of(door) is not before


@pytest.mark.kernel
def test_answers_have_their_type(tmp_path: Path) -> None:
    """An answer of another type than the caller waits for is a bug, and told as one."""
    with Door(tmp_path, list[Event]().append) as door, pytest.raises(TypeError, match="RemoveJob with Removed"):
        door.call(RemoveJob(()), Ran)


@pytest.mark.kernel
def test_faults_are_errors_with_a_place(bench: Bench, busybox: str) -> None:
    """What the worker refuses is raised here as what it is, at the instruction."""
    error = bench.fails(ContextError, f"FROM {busybox}\nRUN true\nRUN --mount=type=tmpfs,target=/proc/x true\n")
    assert "nothing can be mounted at '/proc/x'" in error.message
    assert error.span is not None and error.span.first == 3


def test_every_slower_root_has_its_words() -> None:
    """Whatever is used in overlay's place is said, never taken in silence."""
    assert set(_SLOWER) == set(RootKind) - {RootKind.OVERLAY}
