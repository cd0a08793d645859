"""COPY of many files, of a few that changed, and of a large one."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.listing import listing
from benchmarks.materials import Materials
from benchmarks.values import Build, Listing, Run
from benchmarks.workloads.workload import Row, Turn


class CopyTree:
    """4 and 4c: COPY a context into an empty image, in the store, and again from an empty store as an archive."""

    heavy = True

    def __init__(self, materials: Materials, rows: tuple[Row, Row], context: str) -> None:
        self.rows = rows
        size = materials.size
        self._context = materials.files(size(20_000)) if context == "files" else materials.random(size(1024) << 20)

    def measure(self, turn: Turn) -> Mapping[str, Run]:
        """Two builds that know nothing of each other."""
        buildfile = turn.write("FROM scratch\nCOPY . /data\n")
        store, archive = self.rows
        runs = {store.key: turn.measured(turn.tool.build(Build(buildfile, self._context), turn.place))}
        build = Build(buildfile, self._context, archive=True)
        return {**runs, archive.key: turn.measured(turn.tool.build(build, turn.second))}

    def results(self, turn: Turn) -> Mapping[str, Listing]:
        """Of both images."""
        store, archive = self.rows
        return {store.key: turn.listing(turn.place), archive.key: listing(turn.second.archive)}
