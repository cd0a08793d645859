"""buildctl with a running buildkitd, which BUILDKIT_HOST names or which is where buildctl looks by itself.

BuildKit alone has no store of images, only a cache of steps: an image is written or pushed by saying the build again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.values import Build, Command, Place


@dataclass(frozen=True, slots=True)
class Buildctl:
    """The client of buildkitd."""

    name: str = "buildctl"
    compression: str = "gzip, Go's default level"
    knows_link: bool = True
    daemons: tuple[str, ...] = ("buildkitd",)
    _built: dict[tuple[Path, str], Build] = field(default_factory=dict)
    """What was built under a name, to say it again."""

    def version(self) -> Command:
        """A list of workers comes only from a daemon that answers."""
        return Command(("sh", "-c", "buildctl --version && buildctl debug workers > /dev/null"))

    def begin(self, place: Place) -> tuple[Command, ...]:
        """Remove the whole cache."""
        del place
        return (Command(("buildctl", "prune", "--all")),)

    def build(self, build: Build, place: Place) -> tuple[Command, ...]:
        """Without an output the result stays in the cache, as an image stays in the store of others."""
        self._built[place.directory, build.push or build.name] = build
        if build.push:
            return (_of(build, _pushed(build.push)),)
        if build.archive:
            return (_of(build, f"type=oci,dest={place.archive}"),)
        return (_of(build),)

    def push(self, name: str, target: str, place: Place) -> tuple[Command, ...]:
        """The build again, from the cache, with a push."""
        return (_of(self._built[place.directory, name], _pushed(target)),)

    def layout(self, name: str, place: Place, directory: Path) -> tuple[Command, ...]:
        """The build again, from the cache, with an archive that is unpacked."""
        plain = place.directory / "saved.tar"
        return (
            _of(self._built[place.directory, name], f"type=oci,dest={plain}"),
            Command(("mkdir", "-p", str(directory))),
            Command(("tar", "-xf", str(plain), "-C", str(directory))),
        )


def _of(build: Build, *outputs: str) -> Command:
    local = ("--local", f"context={build.context}", "--local", f"dockerfile={build.buildfile.parent}")
    words = ("--frontend", "dockerfile.v0", *local, "--opt", f"filename={build.buildfile.name}")
    return Command(("buildctl", "build", "--progress", "plain", *words, *(f"--output={output}" for output in outputs)))


def _pushed(target: str) -> str:
    return f"type=image,name={target},push=true,registry.insecure=true"
