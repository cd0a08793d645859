"""What is measured, and what of it is kept: commands, runs, builds in words that every tool knows, places, images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Command:
    """One process to start."""

    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    """Added to the few variables that every tool gets."""


@dataclass(frozen=True, slots=True)
class Run:
    """What commands took: times in seconds, CPU of all their processes, the peak memory of the largest one."""

    wall_s: float
    cpu_s: float
    peak_kib: int

    def __add__(self, other: Run) -> Run:
        """One after the other."""
        return Run(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s, max(self.peak_kib, other.peak_kib))

    def less(self, other: Run, parts: int) -> Run:
        """The cost of each of `parts` units that this run has more than the other."""
        return Run(
            (self.wall_s - other.wall_s) / parts,
            (self.cpu_s - other.cpu_s) / parts,
            max(self.peak_kib, other.peak_kib),
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that came to nothing, in its last words. It is shown, and is in no median."""

    reason: str


@dataclass(frozen=True, slots=True)
class Place:
    """A directory that one tool has for itself in one run; all that it makes goes there."""

    directory: Path

    @property
    def store(self) -> Path:
        """Where its images are."""
        return self.directory / "store"

    @property
    def archive(self) -> Path:
        """The OCI archive that it writes."""
        return self.directory / "image.tar"


@dataclass(frozen=True, slots=True)
class Build:
    """A build in words that every tool knows."""

    buildfile: Path
    context: Path
    name: str = "bench:1"
    archive: bool = False
    """Whether the image is also written as an OCI archive whose layers are gzip."""
    push: str = ""
    """The name in a registry to which the image is sent, if any."""
    jobs: int = 0
    """How many stages may run at a time, for tools that run one unless they are told; 0 is what the tool does."""


@dataclass(frozen=True, slots=True)
class LayerSize:
    """A layer of a result, in bytes."""

    compressed: int
    plain: int
    kind: str
    """gzip, zstd or tar."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of an image: path to what a tool could get wrong about it."""

    entries: dict[str, str]
    layers: tuple[LayerSize, ...]
