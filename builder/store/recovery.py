"""After a crash of the machine: what builds had not settled is proved, before anybody finds it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from builder.store import files, locks
from builder.store.session import move_to_trash
from builder.store.settling import is_unsettled, mark_of_crash, settle_one


def recover(root: Path, area: Path) -> None:
    """Put unsettled blobs aside that are not what their name says, and all unsettled indexes, which are made anew.

    Records that led there are found to lead nowhere when they are looked up. Raises OSError.
    """
    # Whoever comes second waits: before this is over nothing may be found.
    with locks.exclusive(area / "locks" / "settling"):
        marks = [name for name in os.listdir(area / "unsettled") if mark_of_crash(name)]
        if not marks:
            return
        for blob in _unsettled(root / "blobs" / "sha256"):
            with blob.open("rb") as file:
                whole = hashlib.file_digest(file, "sha256").hexdigest() == blob.name
            if whole:
                settle_one(blob)
            else:
                move_to_trash(area, blob)
        for index in _unsettled(area / "indexes"):
            move_to_trash(area, index)
        for directory in (root / "blobs" / "sha256", area / "indexes"):
            files.sync_directory(directory)  # what is put aside stays so, whatever comes after the marks are gone
        for name in marks:
            files.remove_file(area / "unsettled" / name)


def _unsettled(directory: Path) -> Iterator[Path]:
    for name in os.listdir(directory):
        if is_unsettled(os.lstat(directory / name)):
            yield directory / name
