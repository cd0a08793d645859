"""Locks between processes and threads."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from builder.store import locks

_HOLDER = """
import sys, time
from pathlib import Path
from builder.store import locks
lock = locks.exclusive(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_exclusive_excludes(tmp_path: Path) -> None:
    """While one holds a lock alone, nobody else gets it, in the same process too."""
    with locks.exclusive(tmp_path / "l"):
        assert locks.try_exclusive(tmp_path / "l") is None
    again = locks.try_exclusive(tmp_path / "l")
    assert again is not None
    again.release()
    again.release()


def test_shared_is_shared(tmp_path: Path) -> None:
    """Several may share a lock; then nobody gets it alone."""
    with locks.shared(tmp_path / "l"), locks.shared(tmp_path / "l"):
        assert locks.try_exclusive(tmp_path / "l") is None


def test_waits_for_the_holder(tmp_path: Path) -> None:
    """Who comes second gets the lock after the first has released it."""
    order = []
    first = locks.exclusive(tmp_path / "l")

    def second() -> None:
        with locks.exclusive(tmp_path / "l"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    time.sleep(0.05)
    order.append("first")
    first.release()
    thread.join(10)
    assert order == ["first", "second"]


def test_waiting_can_be_ended(tmp_path: Path) -> None:
    """An exception of the waiting callback ends the wait."""

    def give_up() -> None:
        raise KeyboardInterrupt

    with locks.exclusive(tmp_path / "l"), pytest.raises(KeyboardInterrupt):
        locks.shared(tmp_path / "l", give_up)


def test_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    """kill -9 of the holder frees the lock."""
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, str(tmp_path / "l")], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    assert locks.try_exclusive(tmp_path / "l") is None
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert locks.try_exclusive(tmp_path / "l") is not None


def test_missing_directory_is_an_oserror(tmp_path: Path) -> None:
    """A lock file that cannot be made raises the system's error."""
    with pytest.raises(FileNotFoundError):
        locks.shared(tmp_path / "no" / "l")


def test_a_gate_is_passed_together(tmp_path: Path) -> None:
    """Several gates of one file are held at the same time, and not beside an exclusive lock."""
    with locks.Gate(tmp_path / "l"), locks.Gate(tmp_path / "l"):
        assert locks.try_exclusive(tmp_path / "l") is None
    lock = locks.try_exclusive(tmp_path / "l")
    assert lock is not None
    lock.release()


def test_a_gate_waits_and_is_passed_again(tmp_path: Path) -> None:
    """Who comes to a gate that is held alone waits; a gate that was closed opens again."""
    gate = locks.Gate(tmp_path / "l")
    with gate:
        pass
    held = locks.exclusive(tmp_path / "l")
    order: list[str] = []

    def passing() -> None:
        with gate:
            order.append("passed")

    thread = threading.Thread(target=passing)
    thread.start()
    time.sleep(0.05)
    order.append("released")
    held.release()
    thread.join(10)
    assert order == ["released", "passed"]
    gate.close()
    gate.close()
    with gate:
        assert locks.try_exclusive(tmp_path / "l") is None


def test_threads_pass_a_gate_one_by_one(tmp_path: Path) -> None:
    """One thread's leaving does not give up the lock under another one."""
    gate = locks.Gate(tmp_path / "l")
    wrong: list[str] = []

    def passing() -> None:
        for _ in range(200):
            with gate:
                if locks.try_exclusive(tmp_path / "l") is not None:
                    wrong.append("free")

    threads = [threading.Thread(target=passing) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_gate_that_cannot_be_opened(tmp_path: Path) -> None:
    """A gate without a place raises the system's error, and again when it is tried again."""
    gate = locks.Gate(tmp_path / "no" / "l")
    for _ in range(2):
        with pytest.raises(FileNotFoundError), gate:
            pass
