"""Working rooms of processes, and what becomes of them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.store import Store, locks
from builder.store.session import Session, gate_path, make_private, oldest_start_ns, sweep

_WORKER = """
import sys, time
from pathlib import Path
from builder.store import Store, locks
store = Store.open(Path(sys.argv[1]))
(store.snapshots.scratch() / "fs").mkdir()
store.blobs.temporary().write_bytes(b"half")
print("ready", flush=True)
time.sleep(60)
"""


def _area(tmp_path: Path) -> Path:
    for name in ("tmp", "trash", "locks"):
        (tmp_path / name).mkdir()
    return tmp_path


def room_of(session: Session) -> Path:
    """The room of a session that has begun."""
    assert session.directory is not None
    return session.directory


def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    """A session that nobody uses leaves no trace."""
    area = _area(tmp_path)
    Session(area).close()
    assert os.listdir(area / "tmp") == os.listdir(area / "trash") == []


def test_temporary_paths_are_fresh_across_threads(tmp_path: Path) -> None:
    """No two calls, from whatever threads, give the same path."""
    session = Session(_area(tmp_path))
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.extend(session.temporary() for _ in range(100))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 800
    assert len({path.parent for path in found}) == 1
    session.close()


def test_empty_room_disappears(tmp_path: Path) -> None:
    """A room that is empty at the end is removed, not put in the trash."""
    area = _area(tmp_path)
    session = Session(area)
    session.temporary()
    session.close()
    session.close()
    assert os.listdir(area / "tmp") == os.listdir(area / "trash") == []


def test_left_over_work_goes_to_the_trash(tmp_path: Path) -> None:
    """What is unfinished at the end is moved aside in one rename."""
    area = _area(tmp_path)
    session = Session(area)
    (session.scratch() / "deep").mkdir()
    session.close()
    assert os.listdir(area / "tmp") == []
    assert len(os.listdir(area / "trash")) == 1


def test_scratch_is_private_under_any_umask(tmp_path: Path) -> None:
    """A working directory is 0700 though the umask would make it otherwise."""
    old = os.umask(0o477)
    try:
        make_private(tmp_path / "d")
    finally:
        os.umask(old)
    assert os.stat(tmp_path / "d").st_mode & 0o7777 == 0o700


def test_rooms_of_the_living_are_left_alone(tmp_path: Path) -> None:
    """Sweeping does not touch the room of another session that is alive, in this process or another."""
    area = _area(tmp_path)
    session = Session(area)
    scratch = session.scratch()
    sweep(area)
    assert scratch.is_dir()
    session.close()


def test_rooms_of_the_dead_are_swept(tmp_path: Path) -> None:
    """After kill -9 the next open moves the unfinished work to the trash."""
    root = tmp_path / "store"
    worker = subprocess.Popen([sys.executable, "-c", _WORKER, str(root)], stdout=subprocess.PIPE)
    assert worker.stdout is not None and worker.stdout.readline() == b"ready\n"
    with Store.open(root) as store:
        assert store.trash() == []
    worker.kill()
    worker.wait()
    worker.stdout.close()
    with Store.open(root) as store:
        assert len(store.trash()) == 1
        assert len(os.listdir(root / "pybuild" / "tmp")) == 1  # ours


def test_trash_takes_what_is_not_there(tmp_path: Path) -> None:
    """Moving something that is gone is no error; moving without a trash is a StoreError."""
    area = _area(tmp_path)
    session = Session(area)
    session.to_trash(tmp_path / "nothing")
    (tmp_path / "thing").mkdir()
    (tmp_path / "trash").rmdir()
    (tmp_path / "trash").write_bytes(b"")
    with pytest.raises(StoreError, match="trash"):
        session.to_trash(tmp_path / "thing")


def test_finding_is_touching(tmp_path: Path) -> None:
    """What is used becomes as new as the session, once: a second time its status is enough."""
    session = Session(_area(tmp_path))
    session.begin()
    path = tmp_path / "thing"
    path.touch()
    os.utime(path, ns=(0, 0))
    facts = session.use(path)
    first = path.stat().st_mtime_ns
    assert facts is not None and first >= (room_of(session) / "lock").stat().st_mtime_ns
    session.use(path)
    assert path.stat().st_mtime_ns == first
    session.close()


def test_what_is_not_there_is_not_used(tmp_path: Path) -> None:
    """Nothing is made by asking for it."""
    session = Session(_area(tmp_path))
    assert session.use(tmp_path / "none") is None and session.use(tmp_path / "none" / "deeper") is None
    assert not (tmp_path / "none").exists()
    session.close()


def test_a_closed_session_touches_nothing(tmp_path: Path) -> None:
    """After its end a session only looks, and makes no new room."""
    session = Session(_area(tmp_path))
    session.begin()
    session.close()
    path = tmp_path / "thing"
    path.touch()
    os.utime(path, ns=(0, 0))
    assert session.use(path) is not None
    assert path.stat().st_mtime_ns == 0 and os.listdir(tmp_path / "tmp") == []


def test_finding_waits_for_who_is_alone(tmp_path: Path) -> None:
    """While somebody prunes, what is old cannot be found; what has gone by then was never found."""
    session = Session(_area(tmp_path))
    session.begin()
    path = tmp_path / "thing"
    path.touch()
    os.utime(path, ns=(0, 0))
    found: list[object] = []
    with locks.exclusive(gate_path(tmp_path)):
        thread = threading.Thread(target=lambda: found.append(session.use(path)))
        thread.start()
        thread.join(0.05)
        assert thread.is_alive()
        path.unlink()
    thread.join(10)
    assert found == [None]
    session.close()


def test_a_session_begins_through_the_gate(tmp_path: Path) -> None:
    """No session begins while somebody prunes who does not know of it."""
    session = Session(_area(tmp_path))
    with locks.exclusive(gate_path(tmp_path)):
        thread = threading.Thread(target=session.begin)
        thread.start()
        thread.join(0.05)
        assert thread.is_alive() and os.listdir(tmp_path / "tmp") == []
    thread.join(10)
    assert len(os.listdir(tmp_path / "tmp")) == 1
    session.close()


def test_the_oldest_of_the_living(tmp_path: Path) -> None:
    """Dead rooms and one's own do not count; where nobody else is, there is no oldest."""
    area = _area(tmp_path)
    ours, first, second = Session(area), Session(area), Session(area)
    for session in (ours, first, second):
        session.begin()
    os.utime(room_of(first) / "lock", ns=(5, 5))
    (area / "tmp" / "dead").mkdir()
    (area / "tmp" / "dead" / "lock").touch()
    os.utime(area / "tmp" / "dead" / "lock", ns=(1, 1))
    assert oldest_start_ns(area, ours.directory) == 5
    first.close()
    second.close()
    assert oldest_start_ns(area, ours.directory) is None
    ours.close()


def test_what_gets_its_name_is_in_use(tmp_path: Path) -> None:
    """A file that was long in the making is as new as the session when it appears."""
    session = Session(_area(tmp_path))
    path = session.temporary()
    path.touch()
    os.utime(path, ns=(0, 0))
    session.publish(path, tmp_path / "final")
    assert (tmp_path / "final").stat().st_mtime_ns >= (room_of(session) / "lock").stat().st_mtime_ns
    session.close()
