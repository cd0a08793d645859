"""Tidy: what builds have thrown away is removed once the image is out, if the door is open anyway.

Trees are never deleted on the build path: ext4 is slow for half a minute after a large removal. They wait in the
store's trash, and much of what is in them belongs to sub-ids, which only the worker can remove.
"""

from __future__ import annotations

import errno

from builder.errors import PybuildError, StoreError
from builder.stages.door import Door
from builder.store.store import Store
from builder.values.crossing import Removed, RemoveJob

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def tidy(store: Store, door: Door) -> int:
    """Remove what is in the trash; how many things that were. Does nothing where no step needed the worker."""
    return _empty(store, door) if door.is_open else 0


def make_room(error: Exception, store: Store, door: Door) -> None:
    """After a build that the store or a full disk has ended: what it left in the trash goes at once, or nothing
    would ever fit again. Opens the door if it must; never raises for what cannot be removed."""
    if isinstance(error, StoreError) or (isinstance(error, OSError) and error.errno in _NO_ROOM):
        _empty(store, door)


def _empty(store: Store, door: Door) -> int:
    try:
        waiting = store.trash()
        if not waiting:
            return 0
        return door.call(RemoveJob(tuple(str(path) for path in waiting)), Removed).paths
    except PybuildError:
        return 0  # what could not be removed stays in the trash, and the next build tries again
