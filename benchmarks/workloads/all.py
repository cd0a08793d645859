"""Every workload, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.materials import Materials
from benchmarks.workloads.bases import EmptyStore
from benchmarks.workloads.cached import NothingChanged, OneMoreStep
from benchmarks.workloads.copying import CopyTree
from benchmarks.workloads.workload import Row, Workload

Maker = Callable[[Materials], Workload]

_DEBIAN = Row("3", "empty store, pull Debian minbase, one RUN", 1.5)
_PYTHON = Row("3b", "the same with a Python base of 590 MB", 5.0)
_FILES = (Row("4", "COPY 20,000 files of 4 KiB, in the store", 1.5), Row("4 archive", "… as an OCI archive, gzip", 1.5))
_BIG = (
    Row("4c", "COPY one file of 1 GiB of random bytes, in the store", 4.0),
    Row("4c archive", "… as an OCI archive, gzip", 6.0),
)

WORKLOADS: dict[str, Maker] = {
    "1": NothingChanged,
    "2": OneMoreStep,
    "3": lambda materials: EmptyStore(materials, _DEBIAN, "debian"),
    "3b": lambda materials: EmptyStore(materials, _PYTHON, "python"),
    "4": lambda materials: CopyTree(materials, _FILES, "files"),
    "4c": lambda materials: CopyTree(materials, _BIG, "random"),
}
NOT_QUICK = ("3b", "9")
