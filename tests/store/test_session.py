"""Working rooms of processes, and what becomes of them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.store import Store
from builder.store.session import Session, make_private, sweep

_WORKER = """
import sys, time
from pathlib import Path
from builder.store import Store
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
