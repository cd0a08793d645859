"""buildah, and podman, whose build is buildah's; both with their fastest isolation and storage, and their cache on.

The storage is named because, left to themselves in a new store, they take vfs here: three times slower for each step.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.values import Build, Command, Place


@dataclass(frozen=True, slots=True)
class Buildah:
    """One of the two programs."""

    name: str
    command: str
    compression: str = "gzip, Go's pgzip level 5"
    knows_link: bool = False
    """Later versions accept the word."""
    daemons: tuple[str, ...] = ()

    def version(self) -> Command:
        """What prints its version."""
        return Command((self.command, "--version"))

    def begin(self, place: Place) -> tuple[Command, ...]:
        """The store is a directory."""
        del place
        return ()

    def build(self, build: Build, place: Place) -> tuple[Command, ...]:
        """An archive is a second command, as is a push."""
        name = build.push or build.name
        words = ["build", "--layers", "--isolation", "chroot", "--tls-verify=false", "-q", "-f", str(build.buildfile)]
        if build.jobs:
            words += ["--jobs", str(build.jobs)]
        commands = [self._of(place, *words, "-t", name, str(build.context))]
        if build.archive:
            commands.append(self._of(place, "push", "-q", name, f"oci-archive:{place.archive}:1"))
        if build.push:
            commands += self.push(name, build.push, place)
        return tuple(commands)

    def push(self, name: str, target: str, place: Place) -> tuple[Command, ...]:
        """Send an image of the store."""
        return (self._of(place, "push", "-q", "--tls-verify=false", name, f"docker://{target}"),)

    def layout(self, name: str, place: Place, directory: Path) -> tuple[Command, ...]:
        """Copy an image into a layout."""
        words = ("push", "-q") if self.name == "podman" else ("push", "-q", "--disable-compression")
        return (self._of(place, *words, name, f"oci:{directory}:1"),)

    def _of(self, place: Place, *words: str) -> Command:
        stores = ("--storage-driver", "overlay", "--root", str(place.store), "--runroot", str(place.directory / "run"))
        return Command((self.command, *stores, *words))
