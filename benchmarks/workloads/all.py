"""Every workload, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.materials import Materials
from benchmarks.workloads.bases import EmptyStore
from benchmarks.workloads.cached import NothingChanged, OneMoreStep
from benchmarks.workloads.copying import CopyAgain, CopyTree
from benchmarks.workloads.growth import Growth, LargeImage
from benchmarks.workloads.pushing import Push, ThinBuild
from benchmarks.workloads.running import RunWrites, Stages
from benchmarks.workloads.workload import Row, Workload

Maker = Callable[[Materials], Workload]

_DEBIAN = Row("3", "empty store, pull Debian minbase, one RUN", 1.5)
_PYTHON = Row("3b", "the same with a Python base of 590 MB", 5.0)
_FILES = (Row("4", "COPY 20,000 files of 4 KiB, in the store", 1.5), Row("4 archive", "… as an OCI archive, gzip", 1.5))
_BIG = (
    Row("4c", "COPY one file of 1 GiB of random bytes, in the store", 4.0),
    Row("4c archive", "… as an OCI archive, gzip", 6.0),
)

_THIN = "FROM a registry, COPY, CMD, push to the same registry: {} base"

WORKLOADS: dict[str, Maker] = {
    "1": NothingChanged,
    "2": OneMoreStep,
    "3": lambda materials: EmptyStore(materials, _DEBIAN, "debian"),
    "3b": lambda materials: EmptyStore(materials, _PYTHON, "python"),
    "4": lambda materials: CopyTree(materials, _FILES, "files"),
    "4b": CopyAgain,
    "4c": lambda materials: CopyTree(materials, _BIG, "random"),
    "5": RunWrites,
    "6": Stages,
    "7": Push,
    "8": lambda materials: ThinBuild(materials, *_thin_base(materials)),
    "9": LargeImage,
    "10 steps": lambda materials: Growth(materials, "steps"),
    "10 files": lambda materials: Growth(materials, "files"),
    "10 stages": lambda materials: Growth(materials, "stages"),
}
NOT_QUICK = ("3b", "9", "10 steps", "10 files", "10 stages")


def named(keys: Sequence[str]) -> list[str]:
    """The keys of what was asked for; "10" stands for all growth. Raises KeyError with what is not there."""
    found = []
    for key in keys:
        meant = [known for known in WORKLOADS if known == key or known.startswith(f"{key} ")]
        if not meant:
            raise KeyError(key)
        found += meant
    return found


def _thin_base(materials: Materials) -> tuple[str, str]:
    """A quick run does not make the large base."""
    name = "python" if materials.scale == 1 else "debian"
    return name, _THIN.format(name.capitalize())
