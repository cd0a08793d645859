"""The trash is emptied when the worker is there, and never for its own sake."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from builder.errors import BuildfileError, StoreError
from builder.stages.door import Door
from builder.stages.tidy import make_room, tidy
from builder.store.store import Store
from builder.values.crossing import Removed, RemoveJob


def discarded(store: Store) -> Path:
    """A tree that a build has thrown away."""
    scratch = store.snapshots.scratch()
    (scratch / "fs" / "deep").mkdir(parents=True)
    (scratch / "fs" / "deep" / "file").write_text("x")
    store.snapshots.discard(scratch)
    return scratch


def test_a_closed_door_stays_closed(tmp_path: Path) -> None:
    """Without a worker the trash waits for the next build that has one."""
    with Store.open(tmp_path / "store") as store, Door(store.root, lambda _: None) as door:
        discarded(store)
        assert tidy(store, door) == 0
        assert not door.is_open
        assert store.trash()


@pytest.mark.kernel
def test_an_open_door_carries_the_trash_out(tmp_path: Path) -> None:
    """With a worker everything in the trash goes, whoever owns it."""
    with Store.open(tmp_path / "store") as store, Door(store.root, lambda _: None) as door:
        door.call(RemoveJob(()), Removed)
        assert door.is_open
        discarded(store)
        discarded(store)
        assert tidy(store, door) == 2
        assert store.trash() == []


@pytest.mark.kernel
@pytest.mark.parametrize("error", [StoreError("no space left"), OSError(errno.ENOSPC, "no space left")])
def test_a_full_disk_empties_the_trash(tmp_path: Path, error: Exception) -> None:
    """What a build left when the disk was full goes although the build failed, also where no worker was needed."""
    with Store.open(tmp_path / "store") as store, Door(store.root, lambda _: None) as door:
        discarded(store)
        make_room(BuildfileError("a typo"), store, door)
        assert store.trash()
        make_room(error, store, door)
        assert store.trash() == []
