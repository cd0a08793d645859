"""What a COPY takes and its key: what of the sources counts, and that nothing else is loaded for it."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile

import pytest

from builder.stages import copy_sources
from tests.stages.builds import Bench, content

COPY = "FROM scratch\nCOPY d /d\n"


def _is_cached(bench: Bench) -> bool:
    bench.build(COPY)
    return bool(bench.cached)


@pytest.mark.parametrize("changed", ["content", "mode", "name", "link"])
def test_what_the_layer_is_made_of_counts(bench: Bench, changed: str) -> None:
    """Another content, mode, name or target of a link gives another key."""
    path = bench.file("d/f", "x")
    link = path.with_name("link")
    link.symlink_to("f")
    bench.build(COPY)
    assert _is_cached(bench)
    match changed:
        case "content":
            path.write_text("y")
        case "mode":
            path.chmod(0o755)
        case "name":
            path.rename(path.with_name("g"))
        case _:
            link.unlink()
            link.symlink_to("g")
    assert not _is_cached(bench)


def test_times_do_not_count(bench: Bench) -> None:
    """A context that was checked out again gives the same layers."""
    path = bench.file("d/f", "x")
    bench.build(COPY)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert _is_cached(bench)


@pytest.fixture
def all_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every COPY of the host as if it took thousands of files."""
    monkeypatch.setattr(copy_sources, "_LARGE_BYTES", 0)


def _fresh(bench: Bench) -> None:
    """The same context anew: of none of its files a digest is remembered."""
    bench.context.rename(bench.room / "before")
    subprocess.run(["cp", "-a", bench.room / "before", bench.context], check=True)


@pytest.mark.parametrize("changed", ["nothing", "content", "size"])
@pytest.mark.usefixtures("all_is_large")
def test_a_large_copy_is_known_by_its_contents(bench: Bench, changed: str) -> None:
    """One that was packed before its key was known is found by it, and one of other contents is not."""
    bench.file("d/f", "x")
    os.link(bench.context / "d/f", bench.context / "d/g")
    bench.file("d/other", "z")
    bench.build(COPY)
    assert bench.started == [COPY.splitlines()[1]]
    _fresh(bench)
    bench.file("d/other", {"nothing": "z", "content": "y", "size": "zz"}[changed])
    assert _is_cached(bench) is (changed == "nothing")


def test_large_and_small_have_one_key(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was packed in one pass is found by who reads it first, and is the same layer."""
    bench.file("d/f", "x")
    os.link(bench.context / "d/f", bench.context / "d/g")
    small = bench.build(COPY).diff_ids
    monkeypatch.setattr(copy_sources, "_LARGE_BYTES", 0)
    assert bench.build(COPY, no_cache=True).diff_ids == small
    _fresh(bench)
    assert _is_cached(bench)


@pytest.mark.usefixtures("all_is_large")
def test_the_same_large_copy_in_two_stages(bench: Bench) -> None:
    """Is done once, whichever comes first."""
    bench.file("d/f", "x" * 100_000)
    stages = "FROM scratch AS a\nCOPY d /d\nFROM scratch AS b\nCOPY d /d\nFROM scratch\nCOPY --from=a /d /a\n"
    bench.build(stages + "COPY --from=b /d /b\n", jobs=4)
    assert bench.started.count("COPY d /d") == 1


@pytest.mark.usefixtures("all_is_large")
def test_a_large_archive_is_unpacked(bench: Bench) -> None:
    """ADD of an archive whose digest nobody knows reads it, and knows it the next time."""
    with tarfile.open(bench.context / "t.tar", "w") as tar:
        tar.add(bench.file("f", "inside"), "f")
    add = "FROM scratch\nADD t.tar /\n"
    assert content(bench.build(add), "/f") == "inside"
    _fresh(bench)
    bench.build(add)
    assert bench.started == []


def test_the_key_is_had_without_what_makes_layers() -> None:
    """Nothing that places, packs, downloads or fetches is loaded."""
    loaded = "import sys, builder.stages.copy_sources; print(*sys.modules)"
    words = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    rooms = ("stages.copy", "stages.add", "stages.place", "stages.repositories", "tree.pack")
    assert not {f"builder.{room}" for room in rooms} & {*words}
