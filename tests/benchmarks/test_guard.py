"""A guard of speed that no busy machine can trip: what builds call, open, load and start, against limits.json.

Each number there is what was counted when it was last set, and about a tenth more. A change that goes beyond one costs
time: make it cost less, or raise the limit in the same commit and say why. A change that makes much less of one should
lower it, so that what was won is kept.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

LIMITS: dict[str, Any] = json.loads(Path(__file__).with_name("limits.json").read_text(encoding="utf-8"))
COUNTED = Path(__file__).with_name("counted.py")
CHECKOUT = Path(__file__).resolve().parents[2]
NEVER = (
    *("builder.worker", "builder.oci.client", "builder.kernel.sandbox", "requests", "ssl", "isal", "zstandard"),
    *(
        "builder.stages.copy",
        "builder.stages.commit",
        "builder.stages.bring",
        "builder.tree.pack",
        "builder.tree.index",
    ),
    *("builder.commands.table", "click", "dataclasses", "inspect", "importlib.metadata", "subprocess", "socket"),
    *("tempfile", "shutil", "decimal", "csv", "queue", "tomllib"),
)
"""What a build that changes nothing has no use for: the other side of the door, registries, packing and compression,
other commands, and what is large in the standard library."""
FEW, MORE = 50, 250
_OLD_S = 2.1


def environment() -> dict[str, str]:
    """As an installed copy has it: compiled modules are kept, here where the tests may write."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    prefix = Path(tempfile.gettempdir()) / f"pybuild-guard-{os.geteuid()}"
    return {**kept, "PYTHONPATH": str(CHECKOUT), "PYTHONPYCACHEPREFIX": str(prefix)}


@dataclass(frozen=True)
class Counts:
    """What one run did."""

    calls: int
    opens: int
    starts: int
    writes: int
    modules: tuple[str, ...]
    peak_kib: int


@dataclass(frozen=True)
class Room:
    """A directory for contexts and one store."""

    path: Path

    def context(self, files: int, size: int = 1000) -> Path:
        """A new context of so many files."""
        directory = self.path / f"context-{files}-{size}"
        if not directory.exists():
            directory.mkdir()
            for number in range(files):
                (directory / f"f{number}").write_bytes(b"%08d" % number * (size // 8))
        return directory

    def old_context(self, files: int) -> Path:
        """The same, and old enough for a stat to tell whether a file has changed: over two seconds."""
        directory = self.context(files)
        time.sleep(max(0.0, directory.stat().st_ctime + _OLD_S - time.time()))
        return directory

    def build(self, text: str, context: Path, store: str) -> Counts:
        """Build, and count."""
        (self.path / "Buildfile").write_text(text)
        return self.run(
            "-q", "-t", "app:1", "-f", str(self.path / "Buildfile"), "--root", str(self.path / store), str(context)
        )

    def run(self, *words: str) -> Counts:
        """Run the command, and count."""
        result = self.path / "counts"
        argv = [sys.executable, str(COUNTED), str(result), *words]
        done = subprocess.run(argv, cwd=self.path, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found = json.loads(result.read_text())
        return Counts(**{**found, "modules": tuple(found["modules"])})


COPY = "FROM scratch\nCOPY . /data\n"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """An empty one."""
    yield Room(tmp_path)


@pytest.fixture(scope="module")
def nothing_changed(tmp_path_factory: pytest.TempPathFactory) -> Counts:
    """A build that was done just before."""
    room = Room(tmp_path_factory.mktemp("guard"))
    room.build(COPY, room.old_context(FEW), "store")
    return room.build(COPY, room.context(FEW), "store")


def each(few: Counts, more: Counts, units: int) -> dict[str, float]:
    """What one unit costs, of those that the second run has more."""
    return {"calls": (more.calls - few.calls) / units, "opens": (more.opens - few.opens) / units}


def within(found: dict[str, float], what: str) -> None:
    """Whether nothing is over its limit."""
    over = {name: (value, LIMITS[what][name]) for name, value in found.items() if value > LIMITS[what][name]}
    assert not over, f"{what}: {over}"


def test_a_build_that_changes_nothing_starts_no_process(nothing_changed: Counts) -> None:
    """No worker, no helper, no fork."""
    assert nothing_changed.starts == 0


def test_a_build_that_changes_nothing_loads_few_modules(nothing_changed: Counts) -> None:
    """Ours and others', by number; each costs a third of a millisecond and more."""
    ours = [name for name in nothing_changed.modules if name.partition(".")[0] == "builder"]
    within(
        {"modules of ours": len(ours), "modules": len(nothing_changed.modules)},
        "a build that changes nothing",
    )


def test_a_build_that_changes_nothing_loads_nothing_for_steps_or_registries(nothing_changed: Counts) -> None:
    """The large ones by name, since a number would hide one among the small."""
    assert [name for name in NEVER if name in nothing_changed.modules] == []


def test_a_build_that_changes_nothing_makes_few_calls(nothing_changed: Counts) -> None:
    """From the first import to the end."""
    within({"calls": nothing_changed.calls}, "a build that changes nothing")


def test_a_build_that_changes_nothing_changes_little_on_the_disk(nothing_changed: Counts) -> None:
    """Its session has a room and a lock, which go again; nothing is synced, and its image's name stays as it is."""
    within({"opens": nothing_changed.opens, "writes": nothing_changed.writes}, "a build that changes nothing")


def test_a_further_file_of_a_context_costs_a_bounded_number_of_calls(room: Room) -> None:
    """COPY into an empty store: reading, hashing, compressing, indexing."""
    few, more = (room.build(COPY, room.context(count), f"store-{count}") for count in (FEW, MORE))
    within(each(few, more, MORE - FEW), "each further file of a context")


def test_a_further_file_that_is_known_costs_fewer(room: Room) -> None:
    """The same COPY again looks at each file's stat, and opens none."""
    room.context(FEW)
    found = {}
    for count in (MORE, FEW):
        room.build(COPY, room.old_context(count), "store")
        found[count] = room.build(COPY, room.context(count), "store")
    within(each(found[FEW], found[MORE], MORE - FEW), "each further file of a context that is known")


def test_a_further_cached_step_costs_a_bounded_number_of_calls(room: Room) -> None:
    """Its key, its record, its share of the image."""
    found, context = {}, room.context(FEW)
    for count in (5, 45):
        text = "FROM scratch\n" + "".join(f"COPY f{number} /to{number}\n" for number in range(count))
        room.build(text, context, "store")
        found[count] = room.build(text, context, "store")
    within(each(found[5], found[45], 40), "each further step that is cached")


def test_a_further_entry_of_a_base_costs_a_bounded_number_of_calls(room: Room) -> None:
    """A root file system in a tar becomes a layer."""
    found = {}
    for count in (FEW, MORE):
        context = room.context(count)
        (room.path / f"in{count}").mkdir()
        with tarfile.open(room.path / f"in{count}" / "root.tar", "w") as tar:
            tar.add(context, "data")
        text = f"FROM rootfs:{room.path}/in{count}/root.tar\nCMD x\n"
        found[count] = room.build(text, room.path / f"in{count}", f"store-{count}")
    within(each(found[FEW], found[MORE], MORE - FEW), "each further entry of a base")


def test_memory_does_not_grow_with_the_size_of_a_file(room: Room) -> None:
    """A file is never held whole."""
    small, large = (room.build(COPY, room.context(1, size << 20), f"store-{size}").peak_kib for size in (24, 64))
    assert (large - small) / 40 <= LIMITS["KiB of memory for each MiB more in a file"]


def test_a_build_that_changes_nothing_costs_few_imports_of_click(room: Room) -> None:
    """The least CPU time of several runs of each, in turn: a ratio that the speed of a machine does not change."""
    room.build(COPY, room.context(FEW), "store")
    words = ["-q", "-f", str(room.path / "Buildfile"), "--root", str(room.path / "store"), str(room.context(FEW))]
    build, click = [sys.executable, "-m", "builder", *words], [sys.executable, "-c", "import click"]
    times = [(cpu_s(build, room.path), cpu_s(click, room.path)) for _ in range(4)]
    ratio = min(ours for ours, _ in times) / min(theirs for _, theirs in times)
    assert ratio <= LIMITS["CPU of a build that changes nothing, in imports of click"]


def cpu_s(argv: list[str], directory: Path) -> float:
    """The CPU time of a process and all that it waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, cwd=directory, env=environment(), check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
