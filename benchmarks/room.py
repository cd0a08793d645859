"""Where a benchmark works: places for turns, and the trash, which is emptied when nothing is measured any more.

ext4 makes files five times slower for half a minute after a large removal, so nothing is removed between two turns.
Where the disk gets full it has to be: then the room rests before the next turn.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from benchmarks.values import Place

_LEAST_FREE = 12 << 30
_REST_S = 40.0

Remove = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Room:
    """A directory of this benchmark's own."""

    directory: Path
    remove: Remove
    _numbers: Iterator[int] = field(default_factory=count)

    def place(self, name: str) -> Place:
        """A new one, called so and by a number: podman takes no path of more than 50 characters below it."""
        path = self.directory / f"{name}-{next(self._numbers)}"
        path.mkdir(parents=True)
        return Place(path)

    def retire(self, place: Place) -> None:
        """Move a place aside; remove what is aside if the disk is nearly full."""
        trash = self.directory / "trash"
        trash.mkdir(exist_ok=True)
        place.directory.rename(trash / place.directory.name)
        if shutil.disk_usage(self.directory).free < _LEAST_FREE:
            print("making room on the disk", file=sys.stderr, flush=True)
            self.remove(trash)
            time.sleep(_REST_S)


@contextmanager
def room(parent: Path, remove: Remove) -> Iterator[Room]:
    """A room, which is removed with all that is in it."""
    directory = Path(tempfile.mkdtemp(prefix="pb-bench-", dir=parent))
    try:
        yield Room(directory, remove)
    finally:
        print("removing what was built", file=sys.stderr, flush=True)
        remove(directory)
