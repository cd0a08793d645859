"""Door 1 from the conductor's side, with real workers in real namespaces."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import builder
from builder.errors import Interrupted, MachineError, StoreError
from builder.kernel import constants as c
from builder.kernel import worker_handle
from builder.kernel.idmap import SubRange
from builder.kernel.namespace import gather
from builder.kernel.syscalls import seccomp_filter, set_no_new_privs
from builder.kernel.worker_handle import Worker, WorkerBug, error_of, run_in_namespace, start_worker
from builder.values.crossing import Fault, Removed, RemoveJob, RootKind, Rung, UnpackJob
from tests.kernel.inside import in_child
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
from builder.kernel.worker_handle import start_worker
from builder.values.crossing import UnpackJob
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


def test_a_worker_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    """PDEATHSIG follows the thread that forked; one that ends early must not take the worker along."""
    made: list[Worker] = []
    thread = threading.Thread(target=lambda: made.append(start_worker(tmp_path)))
    thread.start()
    thread.join()
    time.sleep(0.1)
    with made[0] as worker:
        assert worker.call(RemoveJob(())) == Removed(0)


def test_a_worker_has_nothing_of_its_caller(tmp_path: Path) -> None:
    """Neither environment, nor directory, nor descriptors, nor session: only the channel, its log, and /dev/null."""
    extra = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(extra, True)
    os.environ["SECRET_OF_THE_CALLER"] = "x"
    try:
        with start_worker(tmp_path):
            porter = worker_pid()
            assert os.getsid(porter) == porter
            first = Path(f"/proc/{descendants(porter)[0]}")
            variables = {entry.split(b"=")[0] for entry in (first / "environ").read_bytes().split(b"\0") if entry}
            assert variables == {b"PATH", b"LC_ALL"}
            assert os.readlink(first / "cwd") == "/"
            files = {os.readlink(entry) for entry in (first / "fd").iterdir()}
            assert not {name for name in files if name.startswith("/") and "memfd" not in name} - {"/dev/null"}
    finally:
        del os.environ["SECRET_OF_THE_CALLER"]
        os.close(extra)


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


def test_a_worker_that_cannot_be_started_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that is gone, or a process table that is full, is the machine's affair."""
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(MachineError, match="cannot be started"):
        start_worker(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_worker_that_dies_on_its_way_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it wrote before it ended is shown, and a traceback makes it a bug."""
    monkeypatch.setattr(worker_handle, "_BOOT", "import sys; sys.exit('no libffi')")
    with pytest.raises(MachineError, match="status 1") as caught:
        start_worker(tmp_path)
    assert caught.value.hint == "no libffi"
    monkeypatch.setattr(worker_handle, "_BOOT", "import os; os.kill(os.getpid(), 31)")
    with pytest.raises(MachineError, match="SIGSYS"):
        start_worker(tmp_path)
    monkeypatch.setattr(worker_handle, "_BOOT", "1 / 0")
    with pytest.raises(WorkerBug, match="ZeroDivisionError"):
        start_worker(tmp_path)
    assert children() == []


def test_the_store_has_an_absolute_path() -> None:
    """The worker has another current directory."""
    with pytest.raises(ValueError, match="absolute"):
        start_worker(Path("store"))


def test_a_store_that_is_missing_is_an_error_of_the_users(tmp_path: Path) -> None:
    """Where roots cannot even be tried, there is one plain error, and no worker left."""
    with pytest.raises(StoreError, match=f"{tmp_path}/missing cannot be used: No such file or directory"):
        start_worker(tmp_path / "missing")
    assert children() == []


def test_helpers_that_fail_unforeseen_lead_to_the_lower_rung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When newuidmap refuses what the files promised, the worker stands on SINGLE and the note quotes newuidmap."""
    wrong = (SubRange(3_000_000_000, 65536),)
    monkeypatch.setattr(worker_handle, "gather", lambda: replace(gather(), uid_ranges=wrong))
    with start_worker(tmp_path) as worker:
        assert worker.rung is Rung.SINGLE
        assert "not allowed" in worker.rung_note
        assert "\n" not in worker.rung_note
        assert worker.call(RemoveJob(())) == Removed(0)
    with pytest.raises(MachineError, match="not allowed"):
        start_worker(tmp_path, Rung.RANGE)


def test_without_a_range_the_note_has_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with no range builds on SINGLE and is told how to get one."""
    monkeypatch.setattr(worker_handle, "gather", lambda: replace(gather(), uid_ranges=(), gid_ranges=()))
    with start_worker(tmp_path) as worker:
        assert worker.rung is Rung.SINGLE
        assert "sudo usermod --add-subuids" in worker.rung_note


def test_a_filter_that_forbids_namespaces_is_explained(tmp_path: Path) -> None:
    """Under a container's seccomp filter the error names it; no process and no thread is left."""

    def body() -> None:
        set_no_new_privs()
        unshare = {"x86_64": 272, "aarch64": 97}[os.uname().machine]
        rows = (
            (0x20, 0, 0, 0),
            (0x15, 0, 1, unshare),
            (0x06, 0, 0, c.SECCOMP_RET_ERRNO | 1),
            (0x06, 0, 0, c.SECCOMP_RET_ALLOW),
        )
        seccomp_filter(b"".join(struct.pack("=HBBI", *row) for row in rows))
        with pytest.raises(MachineError) as caught:
            start_worker(tmp_path)
        assert "unshare gives EPERM" in caught.value.message
        assert "seccomp" in caught.value.message
        assert "seccomp=unconfined" in (caught.value.hint or "")
        assert children() == []
        with pytest.raises(MachineError, match="seccomp"):
            run_in_namespace(["true"], PATH)

    in_child(body)


def test_namespaces_switched_off_are_explained(tmp_path: Path) -> None:
    """With user.max_user_namespaces = 0 (set for real, inside a user namespace of our own) the sysctl is named."""
    script = (
        "echo 0 > /proc/sys/user/max_user_namespaces; exec "
        f"{sys.executable} -c 'from pathlib import Path; from builder.kernel.worker_handle import start_worker; "
        f'start_worker(Path("{tmp_path}"))\''
    )
    answer = subprocess.run(
        ["unshare", "-r", "sh", "-c", script], capture_output=True, text=True, cwd=SOURCE, check=False
    )
    assert "max_user_namespaces = 0" in answer.stderr
    assert answer.stderr.strip().splitlines()[-1].startswith("builder.errors.MachineError")


@pytest.mark.parametrize("how", ["source tree", "isolated"])
def test_the_worker_runs_the_code_of_its_conductor(tmp_path: Path, how: str) -> None:
    """A source tree that is the current directory and a package found by an isolated interpreter both work."""
    script = (
        "import builder.worker; from pathlib import Path; from builder.kernel.worker_handle import start_worker;"
        "from builder.values.crossing import RemoveJob; print(builder.__file__);"
        f"print(start_worker(Path({str(tmp_path)!r})).call(RemoveJob(())))"
    )
    if how == "source tree":
        shutil.copytree(SOURCE / "builder", tmp_path / "tree" / "builder", ignore=shutil.ignore_patterns("__pycache__"))
        # A mark that only this copy has: were the worker to import another one, the answer would be without it.
        remove = tmp_path / "tree" / "builder" / "tree" / "remove.py"
        remove.write_text(
            remove.read_text() + "\n\ndef perform(job):\n    from builder.values.crossing import Removed\n"
            "    return Removed(4711)\n"
        )
        command, place, expected = [sys.executable, "-S", "-c", script], tmp_path / "tree", Removed(4711)
        script_env = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if "site-packages" in path)}
    else:
        command, place, expected, script_env = [sys.executable, "-I", "-c", script], Path("/"), Removed(0), {}
    answer = subprocess.run(command, capture_output=True, text=True, cwd=place, env=script_env, check=True)
    found, result = answer.stdout.splitlines()
    assert found.startswith(str(place)) or how == "isolated"
    assert result == repr(expected)


def test_a_bug_brings_its_traceback() -> None:
    """A Fault of kind bug is no PybuildError; its text ends with where it happened."""
    error = error_of(Fault(1, "bug", "it broke", traceback="Traceback …\nKeyError: 1\n"))
    assert isinstance(error, WorkerBug)
    assert str(error) == "it broke\nTraceback …\nKeyError: 1"


def test_a_fault_keeps_its_hint() -> None:
    """Message and hint of a Fault are those of the error; no hint stays none."""
    error = error_of(Fault(1, "MachineError", "no", "do this"))
    assert isinstance(error, MachineError)
    assert (error.message, error.hint) == ("no", "do this")
    plain = error_of(Fault(1, "StoreError", "no"))
    assert isinstance(plain, StoreError)
    assert plain.hint is None
