"""Commit jobs: real steps on real overlays become layers, and the layers give the same trees again."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from builder.errors import ImageError, StoreError
from builder.tree.commit import NOTHING, perform
from builder.tree.copyup import merge
from builder.tree.unpack import unpack_layer
from builder.values.crossing import CommitSpec
from builder.values.digest import DiffId
from builder.values.image import MEDIA_LAYER
from builder.values.limits import Limits
from tests.tree import inside, operations
from tests.tree.trees import apply, describe, overlay, step

Operations = list[tuple[str, str, str]]

ATTRIBUTES = """
mkdir -p d; printf x > 'd/n\377me'; ln -s ../d 'd/l'; mkfifo p; mkdir new; echo y > new/y; ln new/y new/z
chown 65534:1000 new/y; chmod 4755 new/y; touch -d @1500000000.25 new/y; touch -h -d @-5 d/l; chmod 2750 new
i=0; long=; while [ $i -lt 30 ]; do long=$long/dirdirdir; i=$((i+1)); done; mkdir -p new$long; echo deep > new$long/f
"""


def job(directory: Path, upper: Path, lowers: list[Path], name: str = "layer") -> CommitSpec:
    lower_texts = tuple(str(each) for each in lowers)
    return CommitSpec(str(upper), lower_texts, str(directory / name), str(directory / f"{name}.index"), "none")


def _all_kinds(directory: Path) -> list[object]:
    upper, lower = step(directory, "mkdir -p d; echo k > d/keep; echo g > gone", ATTRIBUTES + "rm gone")
    done = perform(job(directory, upper, [lower]))
    with overlay(directory, [upper, lower], directory / "look") as merged:
        expected = describe(merged)
    plain = directory / "plain"
    merge([str(lower)], str(plain))
    apply(directory / "layer", plain)
    assert describe(plain) == expected
    with tarfile.open(directory / "layer") as archive:
        assert len(archive.getmembers()) == done.entries
    return [sorted(expected)[:3], len(expected)]


@pytest.mark.kernel
def test_all_kinds_survive(tmp_path: Path) -> None:
    """Ids, modes, setuid bits, times, links, fifos, long and odd names come out of the layer as the step left them."""
    assert inside.run(_all_kinds, tmp_path) == [["d", "d/keep", "d/l"], 39]


def _random_steps(directory: Path) -> None:
    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(operations.operations, operations.operations, operations.operations)
    def law(base: Operations, first: Operations, second: Operations) -> None:
        here = Path(tempfile.mkdtemp(dir=directory))
        lower, plain = here / "lower", here / "plain"
        lower.mkdir()
        operations.perform(lower, base)
        merge([str(lower)], str(plain))
        lowers, snapshots = [lower], [lower]
        for number, some in enumerate((first, second)):
            upper, blob, snapshot = here / f"upper{number}", here / f"layer{number}", here / f"snapshot{number}"
            with overlay(here, lowers, upper) as merged:
                operations.perform(merged, some)
            # Seen anew: the mount that copied a file up does not show that a second name of the copy is the same file.
            with overlay(here, [upper, *lowers], here / f"left{number}") as merged:
                expected = describe(merged)
            done = perform(job(here, upper, lowers, blob.name))
            lowers.insert(0, upper)
            if done != NOTHING:
                apply(blob, plain)
                below = tuple(map(str, snapshots))
                unpack_layer(str(blob), MEDIA_LAYER, DiffId.parse(done.diff_id), below, str(snapshot), "")
                snapshots.insert(0, snapshot)
            assert describe(plain) == expected
            with overlay(here, snapshots, here / f"look{number}") as merged:
                assert describe(merged) == expected
        shutil.rmtree(here)

    law()


@pytest.mark.kernel
def test_law_layers_give_the_tree_again(tmp_path: Path) -> None:
    """Whatever two steps do to a tree, their layers give what they left: over a copy, and unpacked as snapshots."""
    inside.run(_random_steps, tmp_path)


def _nothing(directory: Path) -> list[object]:
    upper, lower = step(directory, "mkdir tmp; echo a > f", "touch tmp/x; rm tmp/x; chmod 600 f; chmod 644 f")
    return [perform(job(directory, upper, [lower])) == NOTHING, sorted(each.name for each in directory.glob("layer*"))]


@pytest.mark.kernel
def test_nothing_changed(tmp_path: Path) -> None:
    """A step that changed nothing has no entries and leaves no file."""
    assert inside.run(_nothing, tmp_path) == [True, []]


def test_times_are_clamped(tmp_path: Path) -> None:
    """No entry is later than the job allows; earlier times stay."""
    upper = tmp_path / "upper"
    upper.mkdir(mode=0o755)
    (upper / "f").touch()
    (upper / "g").touch()
    os.utime(upper / "g", (5, 5))
    limit = CommitSpec(str(upper), (), str(tmp_path / "b"), str(tmp_path / "i"), "none", -1, 10**9 * 1000)
    assert perform(limit).entries >= 2
    with tarfile.open(tmp_path / "b") as archive:
        assert {member.name: member.mtime for member in archive if member.isreg()} == {"f": 1000, "g": 5}


def test_same_tree_same_layer(tmp_path: Path) -> None:
    """The same tree made in another order and place gives the same diff-id and digest."""
    done = []
    for number, names in enumerate((["a", "b", "c"], ["c", "a", "b"])):
        upper = tmp_path / f"upper{number}"
        upper.mkdir(mode=0o755)
        for name in names:
            (upper / name).write_text(name)
            os.utime(upper / name, (1, 1))
        os.utime(upper, (1, 1))
        done.append(
            perform(CommitSpec(str(upper), (), str(tmp_path / f"b{number}"), str(tmp_path / f"i{number}"), "gzip"))
        )
    assert done[0] == done[1]


def test_missing_upper(tmp_path: Path) -> None:
    """A directory that is not there is a StoreError that names it."""
    with pytest.raises(StoreError, match="no-such"):
        perform(CommitSpec(str(tmp_path / "no-such"), (), str(tmp_path / "b"), str(tmp_path / "i"), "gzip"))


def test_a_sparse_file_of_terabytes_is_refused_unread(tmp_path: Path) -> None:
    """What no layer may hold is known by its size: nothing of it is read, and no blob is left."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    upper.mkdir()
    lower.mkdir()
    (upper / "small").write_text("x")
    (upper / "vast").touch()
    os.truncate(upper / "vast", 10 << 40)
    with pytest.raises(
        ImageError, match=r"more than 20000000000 bytes, /vast with 10995116277760 among them"
    ) as caught:
        perform(job(tmp_path, upper, [lower]))
    assert caught.value.hint is not None and "--limit layer=" in caught.value.hint
    assert not (tmp_path / "layer").exists() and not (tmp_path / "layer.index").exists()


def test_the_limit_of_a_layer_is_an_option(tmp_path: Path) -> None:
    """The files of a step are held together against the limit that the job brings along."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    upper.mkdir()
    lower.mkdir()
    for name in ("a", "b"):
        (upper / name).write_bytes(b"x" * 600)
    small = replace(job(tmp_path, upper, [lower]), limits=Limits(layer_bytes=1000))
    with pytest.raises(ImageError, match="the step made files of more than 1000 bytes, /b with 600"):
        perform(small)
    assert perform(replace(small, limits=Limits(layer_bytes=1200))).entries >= 2
