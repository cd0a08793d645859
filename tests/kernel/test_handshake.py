"""A process on its way to being a worker, on machines that do not let it."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import builder
from builder.errors import MachineError, StoreError
from builder.kernel import constants as c
from builder.kernel import handshake, spawn
from builder.kernel.handshake import WorkerBug, error_of
from builder.kernel.idmap import SubRange
from builder.kernel.namespace import gather
from builder.kernel.run_in_namespace import run_in_namespace
from builder.kernel.spawn import start_worker
from builder.kernel.syscalls import seccomp_filter, set_no_new_privs
from builder.values.crossing import Fault, Removed, RemoveJob, Rung
from tests.kernel.inside import in_child
from tests.kernel.processes import children

pytestmark = pytest.mark.kernel

PATH = {"PATH": "/usr/bin:/bin"}
SOURCE = Path(builder.__file__).parents[1]


def test_a_worker_that_dies_on_its_way_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it wrote before it ended is shown, and a traceback makes it a bug."""
    monkeypatch.setattr(spawn, "_BOOT", "import sys; sys.exit('no libffi')")
    with pytest.raises(MachineError, match="status 1") as caught:
        start_worker(tmp_path)
    assert caught.value.hint == "no libffi"
    monkeypatch.setattr(spawn, "_BOOT", "import os; os.kill(os.getpid(), 31)")
    with pytest.raises(MachineError, match="SIGSYS"):
        start_worker(tmp_path)
    monkeypatch.setattr(spawn, "_BOOT", "1 / 0")
    with pytest.raises(WorkerBug, match="ZeroDivisionError"):
        start_worker(tmp_path)
    assert children() == []


def test_helpers_that_fail_unforeseen_lead_to_the_lower_rung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When newuidmap refuses what the files promised, the worker stands on SINGLE and the note quotes newuidmap."""
    wrong = (SubRange(3_000_000_000, 65536),)
    monkeypatch.setattr(handshake, "gather", lambda: replace(gather(), uid_ranges=wrong))
    with start_worker(tmp_path) as worker:
        assert worker.rung is Rung.SINGLE
        assert "not allowed" in worker.rung_note
        assert "\n" not in worker.rung_note
        assert worker.call(RemoveJob(())) == Removed(0)
    with pytest.raises(MachineError, match="not allowed"):
        start_worker(tmp_path, Rung.RANGE)


def test_without_a_range_the_note_has_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with no range builds on SINGLE and is told how to get one."""
    monkeypatch.setattr(handshake, "gather", lambda: replace(gather(), uid_ranges=(), gid_ranges=()))
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
        f"{sys.executable} -c 'from pathlib import Path; from builder.kernel.spawn import start_worker; "
        f'start_worker(Path("{tmp_path}"))\''
    )
    answer = subprocess.run(
        ["unshare", "-r", "sh", "-c", script], capture_output=True, text=True, cwd=SOURCE, check=False
    )
    assert "max_user_namespaces = 0" in answer.stderr
    assert answer.stderr.strip().splitlines()[-1].startswith("builder.errors.MachineError")


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
