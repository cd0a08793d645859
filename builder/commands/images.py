"""`pybuild images`: the named images of the store."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase

from builder.commands.caller import Caller, read_format, store_root
from builder.commands.line import Line
from builder.commands.lookup import familiar, is_store
from builder.report.tables import ImageRow, images_json, images_table
from builder.stages.sizes import Sized, sized_images
from builder.store import Store
from builder.values.digest import Digest
from builder.values.reference import Reference


def run(line: Line, caller: Caller) -> int:
    """List the images, the latest first. Raises StoreError."""
    as_json = read_format(line.text("format"))
    path = store_root(line.text("root"), caller)
    rows: list[ImageRow] = []
    if is_store(path):
        with Store.open(path) as store:
            found = sized_images(store)
        latest_first = sorted(found, key=lambda held: (-held.image.created_s, held.image.name))
        rows = [_row(held) for held in latest_first if _is_wanted(held.image.name, line.text("name"))]
    if line.flag("quiet"):
        caller.say(dict.fromkeys(_short(row.digest, line.flag("no_trunc")) for row in rows))
    elif as_json:
        caller.say([images_json(rows)])
    else:
        caller.say([images_table(rows, time.time(), None if line.flag("no_trunc") else caller.columns)])
    return 0


def _short(digest: Digest, whole: bool) -> str:
    return str(digest) if whole else digest.hex[:12]


def _row(held: Sized) -> ImageRow:
    name, tag = _parts(familiar(held.image.name))
    return ImageRow(
        name,
        tag,
        held.image.manifest.digest,
        held.image.created_s,
        held.created,
        tuple(map(str, held.platforms)),
        held.shared_bytes,
        held.unique_bytes,
        held.damaged,
    )


def _parts(text: str) -> tuple[str, str]:
    """A name without its tag, and the tag; what was pulled by its digest may have none."""
    text = text.partition("@")[0]
    name, colon, tag = text.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (text, "")


def _is_wanted(stored: str, asked: str | None) -> bool:
    """Whether a name is asked for: with its tag, without it (then with any), or by a pattern with `*`, `?`, `[`."""
    if not asked:
        return True
    short = familiar(stored)
    spellings = {stored, short, _parts(stored)[0], _parts(short)[0]}
    if any(letter in asked for letter in "*?["):
        return any(fnmatchcase(spelling, asked) for spelling in spellings)
    return asked in spellings or _without_tag(asked) in spellings


def _without_tag(asked: str) -> str | None:
    """The repository that a name without a tag means (`docker.io/app` for `app`)."""
    try:
        return f"{Reference.parse(asked + ':any')}".removesuffix(":any")
    except ValueError:
        return None
