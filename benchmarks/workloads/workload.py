"""What a workload is, and the turn that a tool has at it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.daemons import used
from benchmarks.floors import Floor
from benchmarks.listing import listing
from benchmarks.measure import execute, measured
from benchmarks.tools.tool import Tool
from benchmarks.values import Build, Command, Listing, Place, Run


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table."""

    key: str
    title: str
    target_s: float | None
    """What ours should take at most, in the sizes of a whole run."""


@dataclass(frozen=True, slots=True)
class MostRuns:
    """How many runs of a workload there are at most, whatever was asked for."""

    quick: int
    whole: int


ANY_NUMBER, HEAVY, ONCE = MostRuns(100, 100), MostRuns(1, 100), MostRuns(1, 1)


@dataclass(frozen=True, slots=True)
class Turn:
    """One tool's turn: which one, a fresh place, and a place that it keeps through all its turns at this workload."""

    number: int
    tool: Tool
    place: Place
    kept: Place

    @property
    def second(self) -> Place:
        """Another fresh place, for a build that must not know of the first."""
        directory = self.place.directory / "second"
        directory.mkdir(exist_ok=True)
        return Place(directory)

    def build(self, build: Build, place: Place) -> Run:
        """What a build takes; a place that nothing was built in begins with nothing."""
        self._begin(place)
        return self.measured(self.tool.build(build, place))

    def prepare(self, build: Build, place: Place) -> None:
        """The same, unmeasured."""
        self._begin(place)
        self.run(self.tool.build(build, place))

    def measured(self, commands: Iterable[Command]) -> Run:
        """What these take, with nothing of before left to write."""
        os.sync()
        before = used(self.tool.daemons)
        run = measured(commands, self.place.directory)
        after = used(self.tool.daemons)
        return Run(run.wall_s, run.cpu_s + after.cpu_s - before.cpu_s, max(run.peak_kib, after.peak_kib))

    def _begin(self, place: Place) -> None:
        mark = place.directory / "begun"
        if not mark.exists():
            self.run(self.tool.begin(place))
            mark.touch()

    def run(self, commands: Iterable[Command]) -> None:
        """Run them, unmeasured."""
        for command in commands:
            execute(command, self.place.directory)

    def write(self, text: str, name: str = "Buildfile") -> Path:
        """A Buildfile in the fresh place."""
        path = self.place.directory / name
        path.write_text(text)
        return path

    def listing(self, place: Place, name: str = "bench:1") -> Listing:
        """The files of an image that the tool has made."""
        letters = "".join(letter if letter.isalnum() else "-" for letter in name)
        directory = self.place.directory / f"layout-{letters}"
        self.run(self.tool.layout(name, place, directory))
        return listing(directory)


class Workload(Protocol):
    """Something that every tool does in turn."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """Its rows of the table."""

    @property
    def most_runs(self) -> MostRuns:
        """How many runs make sense."""

    @property
    def floors(self) -> tuple[Floor, ...]:
        """What is measured beside the builders."""

    def measure(self, turn: Turn) -> Iterator[tuple[str, Run]]:
        """Do it; the runs by the key of their row. Raises CommandFailed."""

    def results(self, turn: Turn) -> Mapping[str, Listing]:
        """What has been built in this turn, by the key of the row; none where there is nothing to look at."""
