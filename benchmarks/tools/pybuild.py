"""Ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.values import Build, Command, Place


@dataclass(frozen=True, slots=True)
class Pybuild:
    """The command of an installed copy."""

    command: str
    name: str = "pybuild"
    compression: str = "gzip, ISA-L level 3"
    knows_link: bool = True
    daemons: tuple[str, ...] = ()

    def version(self) -> Command:
        """What prints its version."""
        return Command((self.command, "--version"))

    def begin(self, place: Place) -> tuple[Command, ...]:
        """The store is a directory."""
        del place
        return ()

    def build(self, build: Build, place: Place) -> tuple[Command, ...]:
        """One command does all of it, and runs stages in parallel by itself."""
        words = ["-q", "-f", str(build.buildfile), "-t", build.push or build.name]
        if build.archive:
            words += ["-o", f"type=oci,dest={place.archive}"]
        if build.push:
            words.append("--push")
        return (self._of(place, "build", *words, str(build.context)),)

    def push(self, name: str, target: str, place: Place) -> tuple[Command, ...]:
        """Send an image of the store."""
        return (self._of(place, "push", "-q", name, target),)

    def layout(self, name: str, place: Place, directory: Path) -> tuple[Command, ...]:
        """Copy an image into a layout."""
        return (self._of(place, "copy", "-q", f"store:{name}", f"oci:{directory}:1"),)

    def remove(self, directory: Path) -> Command:
        """In the user namespace, where sub-ids are."""
        return Command((self.command, "unshare", "rm", "-rf", str(directory)))

    def _of(self, place: Place, verb: str, *words: str) -> Command:
        return Command((self.command, verb, "--root", str(place.store), *words))
