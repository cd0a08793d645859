"""What a step changed becomes a layer of the store, in each compression, whole before anybody can see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.store import Store
from builder.values.compression import Compression
from builder.values.digest import DiffId, chain_of
from tests.stages.builds import Bench, content, snapshot
from tests.support.images import ReadImage


def _layer_types(bench: Bench) -> list[str]:
    assert bench.result is not None
    return [layer.descriptor.media_type.rpartition(".")[2] for layer in bench.result.image.layers]


@pytest.mark.parametrize(
    ("compression", "kind"), [(Compression.GZIP, "tar+gzip"), (Compression.ZSTD, "tar+zstd"), (Compression.NONE, "tar")]
)
def test_compressions(bench: Bench, compression: Compression, kind: str) -> None:
    """A layer is stored as was asked, under the media type that says so; its diff-id does not depend on it."""
    bench.file("f", "text" * 1000)
    plain = bench.build("FROM scratch\nCOPY f /f\n").diff_ids
    image = bench.build("FROM scratch\nCOPY f /f\n", compression=compression, no_cache=True)
    assert _layer_types(bench) == [kind]
    assert image.diff_ids == plain and bench.problems() == []


def test_a_layer_has_its_index(bench: Bench) -> None:
    """What was packed can be asked questions without being read again."""
    bench.file("f", "1")
    image = bench.build("FROM scratch\nCOPY f /f\n")
    with Store.open(bench.root) as store:
        assert store.layers.has_index(DiffId.parse(image.diff_ids[0]))


def _left_in(store: Path) -> list[str]:
    return [str(path) for path in (store / "pybuild" / "tmp").rglob("*")]


def test_nothing_is_left_behind(bench: Bench) -> None:
    """Temporary files are gone after a build, one that made no layer among them."""
    bench.file("d/f", "1")
    bench.build("FROM scratch\nCOPY d /d\nCOPY d /d\n")
    assert _left_in(bench.root) == []


@pytest.mark.kernel
def test_a_run_becomes_a_layer_and_a_snapshot(bench: Bench, busybox: str) -> None:
    """The step's changes are packed, and its tree is kept for the next step."""
    image = bench.build(f"FROM {busybox}\nRUN echo one > /a; rm /etc/group\nRUN cat /a\n")
    assert bench.output == "one\n"
    assert sorted(name for name, _, _ in image.layers[1]) == ["a", "etc", "etc/.wh.group"]
    with Store.open(bench.root) as store:
        tree = snapshot(store, chain_of(tuple(DiffId.parse(one) for one in image.diff_ids)))
        assert tree is not None and (tree / "a").read_text() == "one\n"
    assert _left_in(bench.root) == []


@pytest.mark.kernel
def test_a_run_that_changes_nothing(bench: Bench, busybox: str) -> None:
    """It makes no layer, whatever it looked at or wrote where nothing is kept, and is known all the same."""
    buildfile = f"FROM {busybox}\nRUN cat /etc/passwd; chown 0 /bin/busybox; touch /dev/shm/x /etc/y; rm /etc/y\n"
    for done in (False, True):
        image = bench.build(buildfile)
        assert len(image.layers) == 1 and image.config["history"][-1]["empty_layer"] is True
        assert (bench.cached != []) is done


def _layer_times(image: ReadImage) -> set[float]:
    return {info.mtime for _, info, _ in image.layers[-1]}


@pytest.mark.kernel
def test_source_date_epoch_clamps_a_run(bench: Bench, busybox: str) -> None:
    """With SOURCE_DATE_EPOCH the same RUN gives the same layer twice."""
    asked = {"build_args": (("SOURCE_DATE_EPOCH", "1000"),), "no_cache": True}
    buildfile = f"FROM {busybox}\nRUN mkdir /d; date > /dev/null; echo x > /d/f\n"
    first = bench.build(buildfile, **asked)
    assert _layer_times(first) == {1000}
    assert bench.build(buildfile, **asked).diff_ids == first.diff_ids


def test_a_store_that_cannot_be_written(bench: Bench) -> None:
    """A store that refuses writing is a StoreError, and what it had is still sound."""
    bench.file("f", "1")
    bench.build("FROM scratch\nCOPY f /f\n")
    blobs = bench.root / "blobs" / "sha256"
    blobs.chmod(0o500)
    try:
        bench.file("f", "2")
        error = bench.fails(StoreError, "FROM scratch\nCOPY f /f\n")
    except AssertionError:
        pytest.skip("root may write anywhere")
    finally:
        blobs.chmod(0o700)
    assert "Permission denied" in error.message and error.span is not None
    assert bench.problems() == []
    assert content(bench.build("FROM scratch\nCOPY f /f\n"), "/f") == "2"
