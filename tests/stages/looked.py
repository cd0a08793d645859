"""Images for the tests of looking, and sources that remember what was fetched from them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from builder.oci.layout import LayoutSource
from builder.oci.source import ImageSource, Progress
from builder.stages.images import FoundImage, build_platform
from builder.values.digest import Digest
from builder.values.image import Descriptor, Image
from builder.values.platform import Platform
from tests.stages.builds import base, row

ODD = [
    row("etc"),
    row("etc/os-release", "NAME=old\n"),
    row("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:5:6::/:\n"),
    row("etc/group", "root:x:0:\nteam:x:6:\n"),
    row("opt"),
    row("opt/old", "old"),
    row("opt/older"),
    row("opt/older/file", "file"),
    row("usr"),
    row("usr/bin"),
    row("usr/bin/tool", "tool\n", mode="4755", uid=5, gid=6),
    {"path": "usr/bin/same", "type": "hardlink", "to": "usr/bin/tool"},
    {"path": "bin", "type": "symlink", "to": "/usr/bin"},
    {"path": "loop", "type": "symlink", "to": "loop"},
    {"path": "broken", "type": "symlink", "to": "no/where"},
    {"path": "pipe", "type": "fifo", "mode": "0600"},
]
"""A layer with a thing of each kind."""
ABOVE = [
    row("etc"),
    row("etc/os-release", "NAME=new\n"),
    row("etc/.wh.group", ""),
    row("opt"),
    row("opt/.wh..wh..opq", ""),
    row("opt/new", "new"),
    row("new\x1b[31mname\n", "odd"),
]
"""A layer over it that replaces, removes and hides."""


class Remembering:
    """A source that remembers which blobs were fetched from it."""

    def __init__(self, source: ImageSource) -> None:
        self._source = source
        self.name = source.name
        self.fetched: list[Digest] = []

    def load(self, platform: Platform) -> Image:
        return self._source.load(platform)

    def documents(self, image: Image) -> Iterable[tuple[Digest, bytes]]:
        return self._source.documents(image)

    def fetch(self, layer: Descriptor, into: Path, progress: Progress) -> None:
        self.fetched.append(layer.digest)
        self._source.fetch(layer, into, progress)


def outside(directory: Path, layers: Iterable[Iterable[Any]] = (ODD, ABOVE)) -> tuple[FoundImage, Remembering]:
    """An image in a layout that no store knows."""
    base(directory, layers)
    source = Remembering(LayoutSource(directory, "latest"))
    return FoundImage(source.load(build_platform()), source), source


def files_below(directory: Path) -> list[str]:
    """Every file that is in a directory, below it too."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())
