"""Door 1 from the conductor's side, with real workers in real namespaces."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import builder
from builder.errors import Interrupted, MachineError, StoreError
from builder.kernel.run_in_namespace import run_in_namespace
from builder.kernel.spawn import start_worker
from builder.kernel.worker_handle import Worker
from builder.values.crossing import Networked, NetworkJob, Removed, RemoveJob, RootKind, Rung, UnpackJob
from tests.kernel.processes import children, descendants, is_alive, is_there, until

pytestmark = pytest.mark.kernel

PATH = {"PATH": "/usr/bin:/bin"}
SOURCE = Path(builder.__file__).parents[1]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    with start_worker(tmp_path) as started:
        yield started


def endless(place: Path) -> UnpackJob:
    """A job that does not end: its blob is a pipe that nobody writes to."""
    fifo = place / "fifo"
    if not fifo.exists():
        os.mkfifo(fifo)
    return UnpackJob(str(fifo), "application/x-tar", "sha256:" + "0" * 64, (), str(place / "target"))


class Asking:
    """A thread that asks a worker for a job, and what came of it."""

    def __init__(self, worker: Worker, job: UnpackJob | RemoveJob) -> None:
        self.outcome: object = None
        self._thread = threading.Thread(target=self._ask, args=(worker, job))
        self._thread.start()

    def _ask(self, worker: Worker, job: UnpackJob | RemoveJob) -> None:
        try:
            self.outcome = worker.call(job)
        except Exception as error:
            self.outcome = error

    def wait(self) -> object:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.outcome


def test_a_worker_stands_on_the_best_rung(worker: Worker) -> None:
    """An ordinary user with a range is on RANGE, with nothing to note."""
    assert worker.rung is Rung.RANGE
    assert worker.rung_note == ""
    assert isinstance(worker.root_kind, RootKind)


def test_a_rung_can_be_chosen(tmp_path: Path) -> None:
    """SINGLE works wherever RANGE does; ROOT is refused to an ordinary user."""
    with start_worker(tmp_path, Rung.SINGLE) as worker:
        assert worker.rung is Rung.SINGLE
        (tmp_path / "x").mkdir()
        assert worker.call(RemoveJob((str(tmp_path / "x"),))) == Removed(1)
    with pytest.raises(MachineError, match="root"):
        start_worker(tmp_path, Rung.ROOT)


def test_jobs_work_on_what_belongs_to_subordinate_ids(worker: Worker, tmp_path: Path) -> None:
    """A tree that its owner outside cannot touch is removed by a job: it runs as root of the range."""
    place = tmp_path / "place"
    make = f"mkdir -p {place}/in && touch {place}/in/file && chown -R 1000:1000 {place} && chmod 700 {place}"
    assert run_in_namespace(["sh", "-c", make], PATH) == 0
    assert place.stat().st_uid not in (0, os.getuid(), 1000)
    with pytest.raises(PermissionError):
        shutil.rmtree(place)
    assert worker.call(RemoveJob((str(place),))) == Removed(1)
    assert not place.exists()


def test_the_error_of_a_job_is_raised_at_its_caller(worker: Worker, tmp_path: Path) -> None:
    """A PybuildError of the worker is raised here with its kind, and the worker goes on."""
    with pytest.raises(StoreError):
        worker.call(RemoveJob(("/proc/self",)))
    assert worker.call(RemoveJob((str(tmp_path / "nothing"),))) == Removed(0)


def test_many_threads_share_a_worker(worker: Worker, tmp_path: Path) -> None:
    """Forty jobs of forty threads each get their own answer."""
    for number in range(40):
        for inner in range(number % 7):
            (tmp_path / f"{number}-{inner}").mkdir()
    jobs = [RemoveJob(tuple(str(tmp_path / f"{number}-{inner}") for inner in range(7))) for number in range(40)]
    asking = [Asking(worker, job) for job in jobs]
    assert [one.wait() for one in asking] == [Removed(number % 7) for number in range(40)]


def test_a_slow_job_does_not_hold_up_a_quick_one(worker: Worker, tmp_path: Path) -> None:
    """Jobs run beside each other."""
    slow = Asking(worker, endless(tmp_path))
    assert worker.call(RemoveJob(())) == Removed(0)
    assert slow.outcome is None
    worker.kill()
    slow.wait()


def test_a_kill_ends_everything_at_once(tmp_path: Path) -> None:
    """When `kill` returns no process of the worker is left, and whoever waits gets Interrupted."""
    worker = start_worker(tmp_path)
    slow = [Asking(worker, endless(tmp_path)) for _ in range(3)]
    porter = worker_pid()
    until(lambda: len(descendants(porter)) == 4)
    everything = [porter, *descendants(porter)]
    began = time.monotonic()
    worker.kill()
    assert time.monotonic() - began < 2
    assert not any(map(is_there, everything))
    assert all(isinstance(one.wait(), Interrupted) for one in slow)
    with pytest.raises(Interrupted):
        worker.call(RemoveJob(()))
    worker.kill()
    worker.close()


def worker_pid() -> int:
    """The worker (its porter) that is a child of this process."""
    (pid,) = children()
    return pid


def test_what_is_kept_for_steps_ends_when_none_follows(tmp_path: Path) -> None:
    """The network's processes end before the worker does; other jobs are done all the same."""
    with start_worker(tmp_path, network=NetworkJob()) as worker:
        network = worker.first()
        assert isinstance(network, Networked) and network.helper
        porter = worker_pid()
        assert len(descendants(porter)) > 2
        worker.rest()
        until(lambda: len(descendants(porter)) == 1)
        assert worker.call(RemoveJob(())) == Removed(0)
    worker.rest()  # it is over: nobody hears it


def test_a_job_under_way_is_not_ended_by_a_rest(tmp_path: Path, worker: Worker) -> None:
    """Only what waits may end."""
    slow = Asking(worker, endless(tmp_path))
    porter = worker_pid()
    until(lambda: len(descendants(porter)) == 2)
    worker.rest()
    assert worker.call(RemoveJob(())) == Removed(0)
    assert slow.outcome is None and len(descendants(porter)) == 2
    worker.kill()


def test_an_error_in_a_with_block_kills(tmp_path: Path) -> None:
    """Ctrl-C while a job is under way does not wait for it."""
    with pytest.raises(KeyboardInterrupt), start_worker(tmp_path) as worker:
        slow = Asking(worker, endless(tmp_path))
        raise KeyboardInterrupt
    assert isinstance(slow.wait(), Interrupted)
    assert children() == []


@pytest.mark.parametrize("who", ["porter", "pid 1"])
def test_a_worker_that_is_killed_by_others_says_so(tmp_path: Path, who: str) -> None:
    """The out-of-memory killer may take either process: callers get a MachineError, at once and later."""
    worker = start_worker(tmp_path)
    slow = Asking(worker, endless(tmp_path))
    porter = worker_pid()
    until(lambda: len(descendants(porter)) == 2)
    everything = descendants(porter)
    victim = porter if who == "porter" else everything[0]
    os.kill(victim, signal.SIGKILL)
    error = slow.wait()
    assert isinstance(error, MachineError)
    assert "killed, perhaps for want of memory" in error.message
    until(lambda: not any(map(is_alive, everything)))
    with pytest.raises(MachineError, match="memory"):
        worker.call(RemoveJob(()))
    worker.close()


CONDUCTOR = """
import sys, threading
from pathlib import Path
from builder.kernel.spawn import start_worker
from builder.values.crossing import Networked, NetworkJob, UnpackJob
place = sys.argv[1]
worker = start_worker(Path(place))
threading.Timer(0.2, print, ["going"], {"flush": True}).start()
worker.call(UnpackJob(place + "/fifo", "application/x-tar", "sha256:" + "0" * 64, (), place + "/target"))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_death_of_the_conductor_ends_everything(tmp_path: Path, number: int) -> None:
    """Whatever ends the conductor, its worker and all jobs end with it, and nothing is mounted."""
    endless(tmp_path)
    command = [sys.executable, "-c", CONDUCTOR, str(tmp_path)]
    conductor = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=SOURCE)
    assert conductor.stdout is not None
    assert conductor.stdout.readline() == b"going\n"
    everything = descendants(conductor.pid)
    assert len(everything) >= 3
    conductor.send_signal(number)
    conductor.wait()
    conductor.stdout.close()
    until(lambda: not any(map(is_alive, everything)))
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_nothing_stays_open(tmp_path: Path) -> None:
    """After a worker was closed this process has the descriptors, children and threads that it had before."""
    before = (len(os.listdir("/proc/self/fd")), children(), threading.active_count())
    for _ in range(3):
        start_worker(tmp_path).close()
    until(lambda: threading.active_count() == before[2])
    assert (len(os.listdir("/proc/self/fd")), children(), threading.active_count()) == before


def test_a_descriptor_that_is_none_is_the_callers_error(worker: Worker) -> None:
    """A bad descriptor is refused before anything is sent; the worker stays of use."""
    with pytest.raises(OSError, match="descriptor"):
        worker.call(RemoveJob(()), [9999])
    assert worker.call(RemoveJob(())) == Removed(0)
