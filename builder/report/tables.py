"""Rows → aligned columns, and the list of images. Pure."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from builder.report.text import human_age, human_size, width_of
from builder.values.digest import Digest


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image of the store: `size_bytes` is None where its manifest cannot be read."""

    name: str
    tag: str
    digest: Digest
    tagged_s: float
    size_bytes: int | None


def columns(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """Rows in aligned columns, two blanks apart, those of `right` flush right; no blanks at the ends of lines."""
    if not rows:
        return ""
    widths = [max(width_of(row[at]) for row in rows) for at in range(len(rows[0]))]

    def padded(at: int, cell: str) -> str:
        blanks = " " * (widths[at] - width_of(cell))
        return blanks + cell if at in right else cell + blanks

    return "\n".join("  ".join(padded(at, cell) for at, cell in enumerate(row)).rstrip() for row in rows)


def images_table(images: Sequence[ImageRow], now_s: float) -> str:
    """The list of images for people."""
    head = ("NAME", "TAG", "DIGEST", "AGE", "SIZE")
    body = [
        (
            image.name,
            image.tag,
            image.digest.hex[:12],
            human_age(now_s - image.tagged_s),
            "damaged" if image.size_bytes is None else human_size(image.size_bytes),
        )
        for image in images
    ]
    return columns([head, *body], right=frozenset((4,)))


def images_json(images: Sequence[ImageRow]) -> str:
    """The list of images for programs: a JSON array."""
    document = [
        {
            "name": image.name,
            "tag": image.tag,
            "digest": str(image.digest),
            "taggedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(image.tagged_s)),
            "size": image.size_bytes,
        }
        for image in images
    ]
    return json.dumps(document, indent=2)
