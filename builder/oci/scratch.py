"""Big temporary files of sources: where they go, and that they go again with the source that needed them."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from pathlib import Path

Temporary = Callable[[], Path]
"""Gives a fresh path (no file is there yet) on a file system with room."""


def in_system_directory() -> Path:
    """A fresh path where the system keeps temporary files, in a new directory that only we may enter."""
    import tempfile  # 20 ms that most builds need not spend

    return Path(tempfile.mkdtemp(prefix="pybuild-")) / "file"


def owned_file(owner: object, temporary: Temporary | None) -> Path:
    """A fresh path whose file is removed when `owner` is no more, or when the program ends."""
    path = (temporary or in_system_directory)()
    weakref.finalize(owner, _remove, path, path if temporary else path.parent)
    return path


def owned_descriptor(owner: object, fd: int) -> int:
    """The same descriptor, which is closed when `owner` is no more."""
    weakref.finalize(owner, os.close, fd)
    return fd


def _remove(path: Path, room: Path) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
    if room != path:
        try:
            os.rmdir(room)
        except OSError:
            pass
