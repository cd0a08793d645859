"""Rows → aligned columns, and the list of images. Pure."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from builder.declare import dataclass
from builder.report.text import brief_age, cut, human_age, human_size, printable, width_of
from builder.values.digest import Digest


@dataclass(frozen=True, slots=True)
class ImageRow:
    """A named image of the store. `name` and `tag` as people write them, the tag empty where it was pulled by its
    digest; sizes as in stages.sizes.
    """

    name: str
    tag: str
    digest: Digest
    tagged_s: float
    created: str = ""
    platforms: tuple[str, ...] = ()
    shared_bytes: int = 0
    unique_bytes: int = 0
    damaged: bool = False


def columns(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """Rows in aligned columns, two blanks apart, those of `right` flush right; no blanks at the ends of lines."""
    if not rows:
        return ""
    widths = [max(width_of(row[at]) for row in rows) for at in range(len(rows[0]))]

    def padded(at: int, cell: str) -> str:
        blanks = " " * (widths[at] - width_of(cell))
        return blanks + cell if at in right else cell + blanks

    return "\n".join("  ".join(padded(at, cell) for at, cell in enumerate(row)).rstrip() for row in rows)


def images_table(images: Sequence[ImageRow], now_s: float, width: int | None = None) -> str:
    """The list of images for people. Where lines would be longer than `width` (there is one on a terminal), ages are
    written briefly, then digests are left out, then names are cut.
    """
    rows = [_HEAD, *(_cells(image, human_age(now_s - image.tagged_s)) for image in images)]
    if width is None or _columns_of(rows) <= width:
        return _images(rows)
    rows = [_HEAD, *(_cells(image, brief_age(now_s - image.tagged_s)) for image in images)]
    if _columns_of(rows) > width:
        rows = [(*row[:2], *row[3:]) for row in rows]
    over = _columns_of(rows) - width
    if over > 0:
        room = max(max(width_of(row[0]) for row in rows) - over, _LEAST_NAME)
        rows = [(cut(row[0], room), *row[1:]) for row in rows]
    return _images(rows)


_HEAD = ("NAME", "TAG", "DIGEST", "AGE", "SIZE", "SHARED", "UNIQUE")
_LEAST_NAME = 12


def _cells(image: ImageRow, age: str) -> tuple[str, ...]:
    sizes = (image.shared_bytes + image.unique_bytes, image.shared_bytes, image.unique_bytes)
    shown = ("damaged", "", "") if image.damaged else tuple(map(human_size, sizes))
    return (printable(image.name), printable(image.tag) or "<none>", image.digest.hex[:12], age, *shown)


def _columns_of(rows: Sequence[Sequence[str]]) -> int:
    return sum(max(width_of(row[at]) for row in rows) + 2 for at in range(len(rows[0]))) - 2


def _images(rows: Sequence[Sequence[str]]) -> str:
    count = len(rows[0])
    return columns(rows, right=frozenset(range(count - 3, count)))


def images_json(images: Sequence[ImageRow]) -> str:
    """The list of images for programs: a JSON array. Sizes are null where the image is damaged."""
    document = [
        {
            "name": image.name,
            "tag": image.tag or None,
            "digest": str(image.digest),
            "platforms": list(image.platforms),
            "created": image.created,
            "taggedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(image.tagged_s)),
            "size": None if image.damaged else image.shared_bytes + image.unique_bytes,
            "sharedSize": None if image.damaged else image.shared_bytes,
            "uniqueSize": None if image.damaged else image.unique_bytes,
        }
        for image in images
    ]
    return json.dumps(document, indent=2)
