"""What was pruned leaves the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import MachineError
from builder.stages.door import Door
from builder.stages.prune import carry_out, rehearse
from builder.store import Store
from builder.store.holdings import Kind
from builder.store.policy import Policy
from tests.stages.builds import Bench
from tests.store import stocks

ALL = Policy(everything=True)


def door_of(store: Store) -> Door:
    """A door that nobody has opened yet."""
    return Door(store.root, lambda _: None)


def test_files_of_ours_need_no_worker(tmp_path: Path) -> None:
    """Where all of it is ours it is removed without a namespace, and nothing is left in the trash."""
    with Store.open(tmp_path / "store") as store, door_of(store) as door:
        stocks.step(store, "one", 100_000)
        pruned = carry_out(store, ALL, door)
        assert pruned.freed.size_bytes > 100_000 and pruned.left == ()
        assert not door.is_open and store.trash() == []


def test_what_was_in_the_trash_counts_too(tmp_path: Path) -> None:
    """What builds have thrown away before is removed and counted, unless other kinds are asked for."""
    with Store.open(tmp_path / "store") as store, door_of(store) as door:
        store.blobs.discard(store.blobs.put(b"x" * 50_000))
        assert rehearse(store, Policy(kinds=frozenset((Kind.STEPS,)))).gone == ()
        assert rehearse(store, Policy()).freed.size_bytes >= 50_000
        assert os.listdir(store.trash_directory)
        assert carry_out(store, Policy(), door).freed.size_bytes >= 50_000
        assert not os.listdir(store.trash_directory)


def test_bytes_that_an_output_keeps_are_not_freed(tmp_path: Path) -> None:
    """A blob with another name outside of the store is removed, and gives nothing back."""
    with Store.open(tmp_path / "store") as store, door_of(store) as door:
        os.link(store.blobs.path(store.blobs.put(b"x" * 50_000)), tmp_path / "output")
        pruned = carry_out(store, Policy(), door)
        assert len(pruned.gone) == 1 and pruned.freed.size_bytes == 0


@pytest.mark.kernel
def test_directories_of_sub_ids_go_through_the_worker(bench: Bench, busybox: str) -> None:
    """A snapshot and a cache mount with directories of another id, which nobody but the worker may empty, are gone in
    the end; the image is whole."""
    mount = "--mount=type=cache,id=c,target=/c"
    bench.build(f"FROM {busybox}\nRUN {mount} for d in /v /c/v; do mkdir -m 700 $d; echo > $d/f; chown -R 7 $d; done\n")
    with Store.open(bench.root) as store:
        with door_of(store) as door:
            pruned = carry_out(store, ALL, door)
            assert door.is_open and pruned.left == ()
        assert {Kind.SNAPSHOTS, Kind.CACHES} <= {each.kind for each in pruned.gone}
        assert not os.listdir(store.trash_directory)
    assert bench.problems() == []


@pytest.mark.kernel
def test_where_no_namespace_can_be_had(bench: Bench, busybox: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only the worker could remove stays in the trash, is named with the reason, and is not counted as freed."""
    bench.build(f"FROM {busybox}\nRUN mkdir -m 700 /v && echo > /v/f && chown -R 7 /v\n")
    refused = MachineError("namespaces are switched off here")

    def refuse(*_: object, **__: object) -> None:
        raise refused

    monkeypatch.setattr("builder.kernel.spawn.start_worker", refuse)
    with Store.open(bench.root) as store, door_of(store) as door:
        pruned = carry_out(store, ALL, door)
        assert pruned.left and pruned.why is refused
        assert set(pruned.left) == set(store.trash())
        assert 0 < pruned.freed.size_bytes < sum(each.size.size_bytes for each in pruned.gone)
    monkeypatch.undo()
    with Store.open(bench.root) as store, door_of(store) as door:
        assert carry_out(store, Policy(), door).left == () and store.trash() == []
