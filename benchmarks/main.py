"""The benchmark from its options to its figures."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import plot, report, runner
from benchmarks.install import installed
from benchmarks.materials import Materials
from benchmarks.measure import CommandFailed, execute
from benchmarks.options import Options, parse
from benchmarks.registry import NoRegistry, registry
from benchmarks.room import Room, room
from benchmarks.runner import Table
from benchmarks.tools import peers
from benchmarks.tools.pybuild import Pybuild
from benchmarks.tools.tool import Tool
from benchmarks.user import WrongUser, become
from benchmarks.workloads.all import NOT_QUICK, WORKLOADS, named


def main(words: Sequence[str]) -> int:
    """Run it; 0, or 2 where it cannot be run, or 1 where something of ours failed."""
    options = parse(words)
    try:
        table = _shown(options.figures) if options.figures else _measured(options, words)
    except (WrongUser, NoRegistry, peers.UnknownPeer) as error:
        print(f"benchmarks/run: {error}", file=sys.stderr)
        return 2
    except KeyError as error:
        print(f"benchmarks/run: there is no workload {error}; there are {', '.join(WORKLOADS)}", file=sys.stderr)
        return 2
    _write(options, table)
    return 1 if any(found[report.OURS].failures for found in table.values()) else 0


def _shown(figures: Path) -> Table:
    table = report.from_json(figures.read_text())
    print(report.text(table), report.memory(table), sep="\n")
    return table


def _measured(options: Options, words: Sequence[str]) -> Table:
    become(options.user, words)
    keys = named(options.workloads) or [key for key in WORKLOADS if not (options.quick and key in NOT_QUICK)]
    options.cache.mkdir(parents=True, exist_ok=True)
    ours = Pybuild(options.pybuild or installed(options.source, options.cache))
    tools: list[Tool] = [ours, *peers.found(options.peers)]
    with registry(options.cache / "registry") as address, room(options.room, lambda path: _remove(ours, path)) as where:
        for tool in tools:
            print(f"{tool.name}: {execute(tool.version(), where.directory).strip()}", flush=True)
        if options.scale != 1:
            print(f"sizes and numbers of files are {options.scale:g} of what the titles say", flush=True)
        materials = Materials(options.cache, address, options.scale)
        table: Table = {}
        for key in keys:
            table |= _one(key, options, tools, materials, where)
        print(report.memory(table))
    return table


def _one(key: str, options: Options, tools: Sequence[Tool], materials: Materials, where: Room) -> Table:
    workload = WORKLOADS[key](materials)
    most = workload.most_runs.quick if options.quick else workload.most_runs.whole
    table = runner.run(workload, tools, min(options.runs, most), where)
    print(report.text(table), flush=True)
    return table


def _write(options: Options, table: Table) -> None:
    if options.json:
        options.json.write_text(report.as_json(table, options))
    if options.svg:
        options.svg.write_text(plot.svg(table))
    if options.markdown:
        report.put_markdown(options.markdown, table)


def _remove(ours: Pybuild, path: Path) -> None:
    try:
        with tempfile.TemporaryDirectory() as name:
            execute(ours.remove(path), Path(name))
    except CommandFailed as error:
        print(f"benchmarks/run: {path} stays: {error}", file=sys.stderr)
        shutil.rmtree(path, ignore_errors=True)
