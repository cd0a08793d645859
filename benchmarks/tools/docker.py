"""docker with the BuildKit in its daemon: one store for all turns, emptied before each that begins with nothing.

It is not rootless, and its daemon stays warm: what that holds in memory is there in every turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.values import Build, Command, Place

_LABEL = "pybuild.benchmark=1"
_BUILDKIT = {"DOCKER_BUILDKIT": "1"}
_ANSWERS = "docker version --format '{{.Server.Version}}' && DOCKER_BUILDKIT=1 docker build --help > /dev/null"
_EMPTY = f"docker images -q --filter label={_LABEL} | sort -u | xargs -r docker image rm -f && docker builder prune -af"


@dataclass(frozen=True, slots=True)
class Docker:
    """The client; DOCKER_HOST says where the daemon is."""

    name: str = "docker"
    compression: str = "gzip, Go's default level"
    knows_link: bool = False
    """Later versions accept the word."""
    daemons: tuple[str, ...] = ("dockerd", "containerd")

    def version(self) -> Command:
        """That of the daemon. A client from 23 on builds only where buildx is installed too."""
        return Command(("sh", "-c", _ANSWERS))

    def begin(self, place: Place) -> tuple[Command, ...]:
        """Remove the images of this benchmark, which have a label, and the whole cache of builds."""
        del place
        return (Command(("sh", "-c", _EMPTY)),)

    def build(self, build: Build, place: Place) -> tuple[Command, ...]:
        """This BuildKit writes no OCI archive; docker saves the image as a plain tar, and skopeo compresses it."""
        name = build.push or build.name
        words = ("build", "-q", "--network", "host", "--label", _LABEL, "-f", str(build.buildfile), "-t", name)
        commands = [Command(("docker", *words, str(build.context)), _BUILDKIT)]
        if build.archive:
            commands += _saved(name, place, f"oci-archive:{place.archive}:1")
        if build.push:
            commands.append(Command(("docker", "push", "-q", name)))
        return tuple(commands)

    def push(self, name: str, target: str, place: Place) -> tuple[Command, ...]:
        """Send an image of the daemon, under a second name."""
        del place
        return Command(("docker", "tag", name, target)), Command(("docker", "push", "-q", target))

    def layout(self, name: str, place: Place, directory: Path) -> tuple[Command, ...]:
        """Copy an image into a layout."""
        return _saved(name, place, f"oci:{directory}:1")


def _saved(name: str, place: Place, target: str) -> tuple[Command, ...]:
    plain = place.directory / "saved.tar"
    copy = ("skopeo", "--insecure-policy", "copy", "-q", f"docker-archive:{plain}", target)
    return Command(("docker", "save", "-o", str(plain), name)), Command(copy)
