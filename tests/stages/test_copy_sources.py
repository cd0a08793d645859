"""What a COPY takes and its key: what of the sources counts, and that nothing else is loaded for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.stages.builds import Bench

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


def test_the_key_is_had_without_what_makes_layers() -> None:
    """Nothing that places, packs, downloads or fetches is loaded."""
    loaded = "import sys, builder.stages.copy_sources; print(*sys.modules)"
    words = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    rooms = ("stages.copy", "stages.add", "stages.place", "stages.repositories", "tree.pack")
    assert not {f"builder.{room}" for room in rooms} & {*words}
