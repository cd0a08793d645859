"""What daemons take that work for a command without being its children, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_AFTER_NAME = 3
"""proc(5) counts the fields of /proc/PID/stat from 1; those after the name begin with the third."""
_CPU_FIELDS = range(14, 18)
"""utime and stime, and both of the children that it has waited for."""


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds since they were started, and the largest memory of one of them since then."""

    cpu_s: float
    peak_kib: int


def used(names: Sequence[str]) -> Used:
    """By all processes of these names."""
    processes = list(_called(names))
    return Used(sum(_cpu_s(path) for path in processes), max([0, *(_peak_kib(path) for path in processes)]))


def _called(names: Sequence[str]) -> Iterator[Path]:
    for path in Path("/proc").iterdir() if names else ():
        if path.name.isdecimal():
            try:
                name = (path / "comm").read_text().strip()
            except OSError:  # it has ended
                continue
            if name in names:
                yield path


def _cpu_s(process: Path) -> float:
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[number - _AFTER_NAME]) for number in _CPU_FIELDS) / _TICKS


def _peak_kib(process: Path) -> int:
    lines = (process / "status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
