"""`IMAGE[:PATH]`: where the name of an image ends and a path in it begins. A path begins with a slash."""

from __future__ import annotations

import os
import re
from pathlib import Path

from builder.declare import dataclass

_TRANSPORT = re.compile(r"(?:store|oci|oci-archive|docker-archive|rootfs):|[a-z-]+://")
_OF_FILES = re.compile(r"(?:oci|oci-archive|docker-archive|rootfs):|oci-layout://")


@dataclass(frozen=True, slots=True)
class ImagePath:
    """An image by its name, and a path in it as in Entry but not cleaned (`etc//x/..`); None where none was given."""

    image: str
    path: bytes | None


def split_image_path(text: str, directory: Path) -> ImagePath:
    """Split `IMAGE[:PATH]`.

    A name of an image has no `:/`, so the first one splits. Only files of the host may have one in their names: then
    it is the first behind something that exists, relative to `directory`.
    """
    transport = _TRANSPORT.match(text)
    start = transport.end() if transport else 0
    cuts = [found.start() for found in re.finditer(":(?=/)", text) if found.start() >= start]
    if transport and _OF_FILES.match(text):
        cuts = _behind_files(text, start, cuts, directory)
    if not cuts:
        return ImagePath(text, None)
    return ImagePath(text[: cuts[0]], os.fsencode(text[cuts[0] + 2 :]))


def _behind_files(text: str, start: int, cuts: list[int], directory: Path) -> list[int]:
    """Those cuts that leave a file which exists in front, with or without a tag behind it; all where no cut does."""
    if os.path.lexists(directory / text[start:]):
        return []

    def leaves_file(cut: int) -> bool:
        file = text[start:cut]
        return any(name and os.path.lexists(directory / name) for name in (file, file.rpartition(":")[0]))

    return [cut for cut in cuts if leaves_file(cut)] or cuts
