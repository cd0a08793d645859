"""`pybuild images`: the named images of the store."""

from __future__ import annotations

import time

from builder.commands.caller import Caller, read_format, store_root
from builder.commands.line import Line
from builder.commands.lookup import familiar, load
from builder.errors import PybuildError
from builder.report.inspection import size_of
from builder.report.tables import ImageRow, images_json, images_table
from builder.report.text import printable
from builder.store import Store
from builder.values.record import TaggedImage


def run(line: Line, caller: Caller) -> int:
    """List the images, the latest first. Raises StoreError."""
    as_json = read_format(line.text("format"))
    path = store_root(line.text("root"), caller)
    rows: list[ImageRow] = []
    if path.is_dir():
        with Store.open(path) as store:
            latest_first = sorted(store.images.all(), key=lambda image: (-image.created_s, image.name))
            rows = [_row(store, image) for image in latest_first]
    caller.say([images_json(rows) if as_json else images_table(rows, time.time())])
    return 0


def _row(store: Store, image: TaggedImage) -> ImageRow:
    name, colon, tag = familiar(image.name).rpartition(":")
    if not colon or "/" in tag:
        name, tag = familiar(image.name), ""
    return ImageRow(printable(name), printable(tag), image.manifest.digest, image.created_s, _size(store, image))


def _size(store: Store, image: TaggedImage) -> int | None:
    """The image's size, or None: one damaged image must not hide the others."""
    try:
        return size_of(load(store, image.manifest))
    except PybuildError:
        return None
