"""Starting a worker: whose process it is, what it has, and which code it runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import builder
from builder.errors import MachineError, StoreError
from builder.kernel.spawn import start_worker
from builder.kernel.worker_handle import Worker
from builder.values.crossing import Networked, NetworkJob, Removed, RemoveJob
from tests.kernel.processes import children, descendants
from tests.kernel.test_worker_handle import worker_pid

pytestmark = pytest.mark.kernel

PATH = {"PATH": "/usr/bin:/bin"}
SOURCE = Path(builder.__file__).parents[1]


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


def test_a_worker_that_cannot_be_started_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that is gone, or a process table that is full, is the machine's affair."""
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(MachineError, match="cannot be started"):
        start_worker(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_store_has_an_absolute_path() -> None:
    """The worker has another current directory."""
    with pytest.raises(ValueError, match="absolute"):
        start_worker(Path("store"))


def test_a_store_that_is_missing_is_an_error_of_the_users(tmp_path: Path) -> None:
    """Where roots cannot even be tried, there is one plain error, and no worker left."""
    with pytest.raises(StoreError, match=f"{tmp_path}/missing cannot be used: No such file or directory"):
        start_worker(tmp_path / "missing")
    assert children() == []


@pytest.mark.parametrize("how", ["source tree", "isolated"])
def test_the_worker_runs_the_code_of_its_conductor(tmp_path: Path, how: str) -> None:
    """A source tree that is the current directory and a package found by an isolated interpreter both work."""
    script = (
        "import builder.worker; from pathlib import Path; from builder.kernel.spawn import start_worker;"
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


def test_a_worker_begins_with_its_first_job(tmp_path: Path) -> None:
    """Its answer waits for whoever asks, whatever was asked in between; it is given once."""
    with start_worker(tmp_path, network=NetworkJob(places="/nowhere")) as worker:
        assert worker.has_begun
        assert worker.call(RemoveJob(())) == Removed(0)
        assert worker.first() == Networked("", failures="neither pasta nor slirp4netns is installed")
        assert not worker.has_begun
        with pytest.raises(ValueError, match="began with no job"):
            worker.first()


def test_a_first_job_ends_with_the_worker(tmp_path: Path) -> None:
    """Who waits for its answer is told how the worker ended; and one that nobody asked for keeps nobody waiting."""
    with start_worker(tmp_path, network=NetworkJob()) as worker:
        os.kill(worker_pid(), signal.SIGKILL)
        with suppress(MachineError):  # it may have answered before
            worker.first()
        with pytest.raises(MachineError, match="killed"):
            worker.call(RemoveJob(()))
    start_worker(tmp_path, network=NetworkJob()).close()
    assert children() == []
