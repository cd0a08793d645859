"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_FULL_RUNS = 5
_QUICK_RUNS = 2
_QUICK_SCALE = 0.2


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    quick: bool
    workloads: tuple[str, ...]
    """Keys of workloads; none is all."""
    peers: tuple[str, ...]
    """Names of peers; none is all that are found."""
    runs: int
    scale: float
    """By what sizes and numbers of files are multiplied."""
    cache: Path
    room: Path
    pybuild: str
    """The command to measure instead of an installed copy of this checkout, or nothing."""
    source: Path
    """The checkout of which a copy is installed."""
    user: str
    figures: Path | None
    """Figures of an earlier run to show, instead of a run."""
    json: Path | None
    svg: Path | None
    markdown: Path | None


def parse(words: Sequence[str]) -> Options:
    """The options; exits where they make no sense."""
    found = _parser().parse_args(words)
    return Options(
        quick=found.quick,
        workloads=_names(found.workload),
        peers=_names(found.peers),
        runs=found.runs or (_QUICK_RUNS if found.quick else _FULL_RUNS),
        scale=found.scale or (_QUICK_SCALE if found.quick else 1.0),
        cache=found.cache,
        room=found.room,
        pybuild=found.pybuild,
        source=found.source,
        user=found.user,
        figures=found.figures,
        json=found.json,
        svg=found.svg,
        markdown=found.markdown,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/run",
        description="Builds the same images with pybuild and every other builder that is installed, and compares.",
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pybuild-benchmark"
    parser.add_argument("--quick", action="store_true", help="smaller and fewer: under 3 minutes with one peer")
    parser.add_argument("--workload", default="", metavar="KEYS", help="only these, as in 1,3b,4 (default: all)")
    parser.add_argument(
        "--peers",
        default="",
        metavar="NAMES",
        help="only these, as in buildah,docker; none: pybuild alone (default: all that are installed, but docker and "
        "buildctl only by name: the cache of their daemon is emptied)",
    )
    parser.add_argument(
        "--runs", type=int, default=0, metavar="N", help=f"runs of each (default: {_FULL_RUNS}, quick {_QUICK_RUNS})"
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=0.0,
        metavar="PART",
        help=f"of all sizes and numbers of files, this part (default: 1, quick {_QUICK_SCALE})",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=cache,
        metavar="DIR",
        help="keeps bases, contexts and the installed copy (default: %(default)s)",
    )
    parser.add_argument(
        "--room",
        type=Path,
        default=Path("/var/tmp"),
        metavar="DIR",
        help="where stores are made (default: %(default)s)",
    )
    parser.add_argument(
        "--pybuild",
        default="",
        metavar="COMMAND",
        help="measure this one (default: a copy of this checkout, installed in the cache)",
    )
    parser.add_argument(
        "--source",
        type=Path,
        default=Path(__file__).resolve().parent.parent,
        metavar="DIR",
        help="install a copy of this checkout, as an older one to compare with (default: %(default)s)",
    )
    parser.add_argument("--user", default="", metavar="NAME", help="as root: run as this ordinary user")
    parser.add_argument("--figures", type=Path, metavar="FILE", help="run nothing; show what --json wrote")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write a plot")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there, between its two marks")
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
