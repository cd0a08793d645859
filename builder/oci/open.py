"""Which source an image's name means: the transport in front of it decides."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from builder.declare import dataclass
from builder.errors import ImageError
from builder.oci.source import ImageSource, Progress, Tell, tell_nobody
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.image import Descriptor, Image
from builder.values.platform import Platform

if TYPE_CHECKING:
    from builder.oci.scratch import Temporary


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What sources need to know of the world.

    `temporary` gives fresh paths for big temporary files (None: the system's place for them); relative paths start at
    `directory`; `access` is how registries are reached; `tell` hears what people should know of where images come from.
    """

    temporary: Temporary | None
    directory: Path
    access: Access
    tell: Tell


class LateSource:
    """A source that is opened at the first question. Of a base that is in the store already nobody may have any."""

    def __init__(self, open_it: Callable[[], ImageSource]) -> None:
        self._open = open_it
        self._lock = threading.Lock()
        self._opened: ImageSource | None = None

    @property
    def name(self) -> str:
        """The image as people call it."""
        return self._source().name

    def load(self, platform: Platform) -> Image:
        """See `ImageSource`."""
        return self._source().load(platform)

    def documents(self, image: Image) -> Iterable[tuple[Digest, bytes]]:
        """See `ImageSource`."""
        return self._source().documents(image)

    def fetch(self, layer: Descriptor, into: Path, progress: Progress) -> None:
        """See `ImageSource`."""
        self._source().fetch(layer, into, progress)

    def _source(self) -> ImageSource:
        with self._lock:  # the layers of an image come by one connection and one login
            if self._opened is None:
                self._opened = self._open()
            return self._opened


def open_source(
    text: str,
    temporary: Temporary | None = None,
    *,
    directory: Path = Path(),
    access: Access | None = None,
    tell: Tell = tell_nobody,
) -> ImageSource:
    """The source that `text` names. Nothing is read yet. Raises ImageError when it cannot be a name.

    `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:TAG]`, `rootfs:PATH` or a path that starts with
    `/`, `./` or `../` (a root file system as tar or directory), `docker://NAME`, or a registry's NAME. `temporary`
    gives a fresh path on a file system with room (the store's).
    """
    around = Surroundings(temporary, directory, access or Access(), tell)
    for prefix, opener in _OPENERS.items():
        if text.startswith(prefix):
            return opener(text.removeprefix(prefix), around)
    if text.startswith(("/", "./", "../")):
        return _rootfs(text, around)
    return _registry(text, around)


def _registry(text: str, around: Surroundings) -> ImageSource:
    from builder.oci.registry import RegistrySource

    return RegistrySource(text, around.access, tell=around.tell)


def _layout(text: str, around: Surroundings) -> ImageSource:
    from builder.oci.layout import LayoutSource

    return LayoutSource(*path_and_tag(text, around.directory))


def _oci_archive(text: str, around: Surroundings) -> ImageSource:
    from builder.oci.archive import ArchiveSource

    path, tag = path_and_tag(text, around.directory)
    return ArchiveSource(path, tag, around.temporary)


def _docker_archive(text: str, around: Surroundings) -> ImageSource:
    from builder.oci.docker_archive import DockerArchiveSource

    path, tag = path_and_tag(text, around.directory)
    return DockerArchiveSource(path, tag, around.temporary)


def _rootfs(text: str, around: Surroundings) -> ImageSource:
    from builder.oci.rootfs import RootfsSource

    return RootfsSource(around.directory / text, around.temporary)


def path_and_tag(text: str, directory: Path) -> tuple[Path, str | None]:
    """Split `PATH[:TAG]`; relative paths start at `directory`. Raises ImageError without a path.

    A path may hold colons: the longest one that exists is meant, else the first colon splits.
    """
    if not text:
        raise ImageError("a path is missing after the transport", hint="for example oci:DIR:TAG")
    whole = directory / text
    if ":" not in text or whole.exists():
        return whole, None
    cuts = [at for at, letter in enumerate(text) if letter in ":@" and at > 0]
    for at in reversed(cuts):
        if (directory / text[:at]).exists():
            return directory / text[:at], text[at + 1 :] or None
    head, _, tag = text.partition(":")
    return directory / head, tag or None


_OPENERS: dict[str, Callable[[str, Surroundings], ImageSource]] = {
    "oci:": _layout,
    "oci-layout://": _layout,  # as buildx's --build-context has it
    "oci-archive:": _oci_archive,
    "docker-archive:": _docker_archive,
    "rootfs:": _rootfs,
    "docker://": _registry,
    "docker-image://": _registry,  # as buildx's --build-context has it
}
