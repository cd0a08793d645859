"""The benchmark from its options to its figures."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report, runner
from benchmarks.install import installed
from benchmarks.materials import Materials
from benchmarks.measure import CommandFailed, execute
from benchmarks.options import Options, parse
from benchmarks.registry import NoRegistry, registry
from benchmarks.room import Room, room
from benchmarks.tools.buildah import Buildah
from benchmarks.tools.pybuild import Pybuild
from benchmarks.tools.tool import Tool
from benchmarks.user import WrongUser, become
from benchmarks.workloads.all import NOT_QUICK, WORKLOADS

_QUICK_SCALE = 0.2


def main(words: Sequence[str]) -> int:
    """Run it; 0, or 2 where it cannot be run, or 1 where something of ours failed."""
    options = parse(words)
    try:
        become(options.user, words)
        return _run(options)
    except (WrongUser, NoRegistry) as error:
        print(f"benchmarks/run: {error}", file=sys.stderr)
        return 2


def _run(options: Options) -> int:
    options.cache.mkdir(parents=True, exist_ok=True)
    ours = Pybuild(options.pybuild or installed(options.source, options.cache))
    tools: list[Tool] = [ours, *_peers(options.peers)]
    with registry(options.cache / "registry") as address, room(options.room, lambda path: _remove(ours, path)) as where:
        for tool in tools:
            print(f"{tool.name}: {execute(tool.version(), where.directory).strip()}", flush=True)
        materials = Materials(options.cache, address, _QUICK_SCALE if options.quick else 1.0)
        return _all(options, tools, materials, where)


def _all(options: Options, tools: Sequence[Tool], materials: Materials, where: Room) -> int:
    failed = 0
    for key in options.workloads or [key for key in WORKLOADS if not (options.quick and key in NOT_QUICK)]:
        workload = WORKLOADS[key](materials)
        runs = 1 if options.quick and workload.heavy else options.runs
        table = runner.run(workload, tools, runs, where)
        print(report.text(table), flush=True)
        failed += sum(len(found[report.OURS].failures) for found in table.values())
    return 1 if failed else 0


def _peers(names: Sequence[str]) -> list[Tool]:
    known = (Buildah("buildah", "buildah"), Buildah("podman", "podman"))
    return [tool for tool in known if shutil.which(tool.command) and (not names or tool.name in names)]


def _remove(ours: Pybuild, path: Path) -> None:
    try:
        with tempfile.TemporaryDirectory() as name:
            execute(ours.remove(path), Path(name))
    except CommandFailed as error:
        print(f"benchmarks/run: {path} stays: {error}", file=sys.stderr)
