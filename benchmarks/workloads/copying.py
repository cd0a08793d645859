"""COPY of many files, again with one changed or none, and of a large one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from benchmarks.floors import Floor, tar_and_gzip
from benchmarks.generate import half_compressible
from benchmarks.listing import listing
from benchmarks.materials import Materials
from benchmarks.values import Build, Listing, Run
from benchmarks.workloads.workload import HEAVY, Row, Turn


class CopyTree:
    """4 and 4c: COPY a context into an empty image, in the store, and again from an empty store as an archive."""

    most_runs = HEAVY
    floors: tuple[Floor, ...] = ()

    def __init__(self, materials: Materials, rows: tuple[Row, Row], context: str) -> None:
        self.rows = rows
        size = materials.size
        self._context = materials.files(size(20_000)) if context == "files" else materials.random(size(1024) << 20)
        self.floors = (tar_and_gzip(rows[1].key, self._context),)

    def measure(self, turn: Turn) -> Iterator[tuple[str, Run]]:
        """Two builds that know nothing of each other."""
        buildfile = turn.write("FROM scratch\nCOPY . /data\n")
        store, archive = self.rows
        written = turn.build(Build(buildfile, self._context, archive=True), turn.second)
        yield store.key, turn.build(Build(buildfile, self._context), turn.place)
        yield archive.key, written

    def results(self, turn: Turn) -> Mapping[str, Listing]:
        """Of both images."""
        store, archive = self.rows
        return {store.key: turn.listing(turn.place), archive.key: listing(turn.second.archive)}


class CopyAgain:
    """4b: the same COPY into a store that has it already, with one file changed, and then with nothing changed."""

    rows = (
        Row("4b", "COPY 20,000 files again, one changed", 1.0),
        Row("4b nothing", "… with nothing changed", 0.25),
    )
    most_runs = HEAVY
    floors: tuple[Floor, ...] = ()

    def __init__(self, materials: Materials) -> None:
        self._context = materials.files(materials.size(20_000))

    def measure(self, turn: Turn) -> Iterator[tuple[str, Run]]:
        """In the tool's own store, where the first turn begins with the whole."""
        build = Build(turn.write("FROM scratch\nCOPY . /data\n"), self._context)
        if turn.number == 0:
            self._change(-1)
            turn.prepare(build, turn.kept)
        self._change(turn.number)
        yield "4b", turn.build(build, turn.kept)
        yield "4b nothing", turn.build(build, turn.kept)

    def results(self, turn: Turn) -> Mapping[str, Listing]:
        """The image of both is the same."""
        found = turn.listing(turn.kept)
        return {"4b": found, "4b nothing": found}

    def _change(self, number: int) -> None:
        # As text: Random(-1) and Random(1) are the same, and what was built once is found again.
        (self._context / "d0000" / "f000000").write_bytes(half_compressible(random.Random(str(number)), 4096))
