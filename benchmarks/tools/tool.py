"""What the benchmark asks of a builder."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from benchmarks.values import Build, Command, Place


class Tool(Protocol):
    """A builder. Each of these gives commands; none runs one."""

    @property
    def name(self) -> str:
        """As in --peers and in the table."""

    @property
    def compression(self) -> str:
        """With what it makes the layers of an archive, and at which level."""

    @property
    def knows_link(self) -> bool:
        """Whether it does COPY --link."""

    @property
    def daemons(self) -> tuple[str, ...]:
        """Names of processes that work for its commands and are no children of theirs."""

    def version(self) -> Command:
        """What prints its version, and fails where it cannot build."""

    def begin(self, place: Place) -> tuple[Command, ...]:
        """What makes sure that a place begins with nothing; no command where each place has a store of its own."""

    def build(self, build: Build, place: Place) -> tuple[Command, ...]:
        """Build an image, and write or push it where the build says so."""

    def push(self, name: str, target: str, place: Place) -> tuple[Command, ...]:
        """Send an image of the place's store to a registry."""

    def layout(self, name: str, place: Place, directory: Path) -> tuple[Command, ...]:
        """Write an image of the store into an OCI layout, compressed or not, to look at what was built."""
