"""An empty store, a base in a registry, one RUN."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.floors import Floor
from benchmarks.materials import Materials
from benchmarks.values import Build, Listing, Run
from benchmarks.workloads.workload import HEAVY, Row, Turn


class EmptyStore:
    """3 and 3b: pull a base and run one command in it."""

    most_runs = HEAVY
    floors: tuple[Floor, ...] = ()

    def __init__(self, materials: Materials, row: Row, base: str) -> None:
        self.rows = (row,)
        self._base, self._context = materials.base(base), materials.files(10)

    def measure(self, turn: Turn) -> Iterator[tuple[str, Run]]:
        """The whole of it, from nothing."""
        build = Build(turn.write(f"FROM {self._base}\nRUN echo done > /made\n"), self._context)
        yield self.rows[0].key, turn.build(build, turn.place)

    def results(self, turn: Turn) -> Mapping[str, Listing]:
        """The base and one file."""
        return {self.rows[0].key: turn.listing(turn.place)}
