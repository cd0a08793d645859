"""Tidy: what builds have thrown away is removed once the image is out, if the door is open anyway.

Trees are never deleted on the build path: ext4 is slow for half a minute after a large removal. They wait in the
store's trash, and much of what is in them belongs to sub-ids, which only the worker can remove.
"""

from __future__ import annotations

from builder.errors import PybuildError
from builder.stages.door import Door
from builder.store.store import Store
from builder.values.crossing import Removed, RemoveJob


def tidy(store: Store, door: Door) -> int:
    """Remove what is in the trash; how many things that were. Does nothing where no step needed the worker."""
    if not door.is_open:
        return 0
    waiting = store.trash()
    if not waiting:
        return 0
    try:
        return door.call(RemoveJob(tuple(str(path) for path in waiting)), Removed).paths
    except PybuildError:
        return 0  # the image is out: what could not be removed stays in the trash, and the next build tries again
