"""Gives every tool its turns at a workload, and looks whether they have built the same."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.floors import Floor
from benchmarks.listing import differences
from benchmarks.measure import CommandFailed
from benchmarks.room import Room
from benchmarks.tools.tool import Tool
from benchmarks.values import Failure, Listing, Place, Run
from benchmarks.workloads.workload import Row, Turn, Workload


@dataclass(slots=True)
class Findings:
    """What one tool came to in one row."""

    runs: list[Run] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    listing: Listing | None = None
    differs: list[str] = field(default_factory=list)
    """Paths that are not as pybuild has them."""


Table = dict[Row, dict[str, Findings]]
"""Row, then name of the tool."""


def run(workload: Workload, tools: Sequence[Tool], runs: int, room: Room) -> Table:
    """Every tool in turn, so many times; the order changes from round to round."""
    table: Table = {row: {tool.name: Findings() for tool in tools} for row in workload.rows}
    label = workload.rows[0].key
    kept = {tool.name: room.place(tool.name) for tool in tools}
    for number in range(runs):
        for tool in _rotated(tools, number):
            place = room.place(tool.name)
            print(f"{label}: {tool.name}, run {number + 1} of {runs}", file=sys.stderr, flush=True)
            _turn(workload, Turn(number, tool, place, kept[tool.name]), table)
            room.retire(place)
        for floor in workload.floors:
            _floor(floor, room.place(floor.name), table, room)
    for place in kept.values():
        room.retire(place)
    for found in table.values():
        _compare(found)
    return table


def _turn(workload: Workload, turn: Turn, table: Table) -> None:
    name, measured = turn.tool.name, set[str]()
    try:
        for key, took in workload.measure(turn):
            _findings(table, key, name).runs.append(took)
            measured.add(key)
        measured.clear()  # what cannot be looked at counts for nothing
        if turn.number == 0:
            for key, listing in workload.results(turn).items():
                _findings(table, key, name).listing = listing
    except CommandFailed as error:
        print(f"  failed: {error}", file=sys.stderr, flush=True)
        for row, found in table.items():
            if row.key not in measured:
                found[name].failures.append(Failure(str(error)))


def _floor(floor: Floor, place: Place, table: Table, room: Room) -> None:
    if shutil.which(floor.program):
        try:
            for key, took in floor.measure(place).items():
                found = next(found for row, found in table.items() if row.key == key)
                found.setdefault(floor.name, Findings()).runs.append(took)
        except CommandFailed as error:
            print(f"  {floor.name} failed: {error}", file=sys.stderr, flush=True)
    room.retire(place)


def _findings(table: Table, key: str, tool: str) -> Findings:
    return next(found[tool] for row, found in table.items() if row.key == key)


def _compare(found: dict[str, Findings]) -> None:
    """Every other tool's files with those of the first."""
    first, *others = found.values()
    for other in others:
        if first.listing is not None and other.listing is not None:
            other.differs = differences(first.listing, other.listing)


def _rotated(tools: Sequence[Tool], number: int) -> list[Tool]:
    start = number % len(tools)
    return [*tools[start:], *tools[:start]]
