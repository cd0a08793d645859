"""The trash is emptied when the worker is there, and never for its own sake."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from builder import pipeline
from builder.errors import BuildfileError, StoreError
from builder.source import SourceText
from builder.stages.door import Door
from builder.stages.tidy import make_room, tidy, tidying
from builder.store.store import Store
from builder.store.usage import usage
from builder.values.crossing import Removed, RemoveJob
from builder.values.request import BuildRequest
from tests.stages.builds import Bench


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
def test_the_trash_goes_while_other_things_are_done(tmp_path: Path) -> None:
    """At the end of them it is gone; what came meanwhile is for the next time."""
    with Store.open(tmp_path / "store") as store, Door(store.root, lambda _: None) as door:
        waiting = discarded(store)
        with tidying(store, door):
            assert not door.is_open
        assert store.trash()
        door.call(RemoveJob(()), Removed)
        with tidying(store, door):
            pass
        assert store.trash() == []
        assert not waiting.exists()


@pytest.mark.kernel
def test_what_fails_meanwhile_fails_as_ever(tmp_path: Path) -> None:
    """Nobody waits for the trash then, nor hears of it."""
    with (
        pytest.raises(BuildfileError),
        Store.open(tmp_path / "store") as store,
        Door(store.root, lambda _: None) as door,
    ):
        door.call(RemoveJob(()), Removed)
        discarded(store)
        with tidying(store, door):
            raise BuildfileError("a typo")


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


def build(bench: Bench, number: int, limit: int) -> None:
    """Build an image with a layer of its own of 200 kB, under a name that the next one takes."""
    bench.file("f", bytes(random.Random(number).randbytes(200_000)))
    bench.build("FROM scratch\nCOPY f /f\n", store_limit_bytes=limit)


def test_the_limit_is_kept_after_builds(bench: Bench) -> None:
    """What was not used for longest goes, and leaves the disk; the image that was just built is whole."""
    for number in range(6):
        build(bench, number, 600_000)
        assert bench.problems() == [] and bench.notes == []
    with Store.open(bench.root) as store:
        assert usage(store).size.size_bytes <= 600_000
        assert store.trash() == []
    build(bench, 5, 600_000)
    assert bench.cached == ["COPY f /f"]


def test_without_a_limit_everything_stays(bench: Bench) -> None:
    """No limit costs nothing: nobody looks, and nothing goes."""
    for number in range(3):
        build(bench, number, 0)
    with Store.open(bench.root) as store:
        assert usage(store).size.size_bytes > 600_000


def test_below_the_limit_everything_stays(bench: Bench) -> None:
    """As long as the limit is not reached nothing goes, not even an image that has lost its name."""
    build(bench, 1, 10_000_000)
    assert bench.result is not None
    first = bench.result.image.manifest.digest
    build(bench, 2, 10_000_000)
    with Store.open(bench.root) as store:
        assert store.blobs.has(first)


def test_a_limit_that_cannot_be_kept(bench: Bench) -> None:
    """The build succeeds, and its image is there; a note says what needs the room."""
    build(bench, 1, 1000)
    (note,) = bench.notes
    assert "more than its limit" in note and "pybuild rmi" in note
    assert bench.problems() == []


def test_an_image_without_a_name_survives_the_limit(bench: Bench) -> None:
    """What the build has just made can be found by its digest though it has no name."""
    bench.file("f", b"x" * 100_000)
    with Store.open(bench.root) as store:
        request = BuildRequest(bench.context, SourceText("Buildfile", "FROM scratch\nCOPY f /f\n"), store_limit_bytes=1)
        image = pipeline.build(request, store, bench.events.append).image
        assert all(store.blobs.has(layer.descriptor.digest) for layer in image.layers)
        assert store.blobs.has(image.manifest.digest) and store.blobs.has(image.config_descriptor.digest)


def test_trouble_with_the_limit_is_no_trouble_with_the_build(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store cannot be pruned the build has succeeded all the same, and says so."""

    def fail(*_: object) -> None:
        raise StoreError("the disk reports errors")

    monkeypatch.setattr("builder.store.prune.prune", fail)
    build(bench, 1, 1000)
    assert bench.notes == ["the limit of the store's size was not kept: the disk reports errors"]
