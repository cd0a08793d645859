"""Tidy: what builds have thrown away is removed once the image is out, if the door is open anyway.

Trees are never deleted on the build path: ext4 is slow for half a minute after a large removal. They wait in the
store's trash, and much of what is in them belongs to sub-ids, which only the worker can remove. Where the store has a
limit, this is also the moment at which it is kept.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from builder.errors import PybuildError, StoreError
from builder.stages.door import Door
from builder.store.store import Store
from builder.values.event import Note
from builder.values.image import Image

if TYPE_CHECKING:
    from builder.stages.hands import Hands
    from builder.store.prune import Freed

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def tidy(store: Store, door: Door) -> int:
    """Remove what is in the trash; how many things that were. Does nothing where no step needed the worker."""
    return _empty(store, door) if door.is_open else 0


@contextmanager
def tidying(store: Store, door: Door) -> Iterator[None]:
    """What is in the trash now is removed while the block runs; its end waits for that. Like `tidy` otherwise."""
    if not door.is_open:
        yield
        return
    broom = threading.Thread(target=_empty, args=(store, door), name="tidy", daemon=True)
    broom.start()
    yield  # where the block fails the door is shut at once, and the broom with it
    broom.join()


def make_room(error: Exception, store: Store, door: Door) -> None:
    """After a build that the store or a full disk has ended: what it left in the trash goes at once, or nothing
    would ever fit again. Opens the door if it must; never raises for what cannot be removed."""
    if isinstance(error, StoreError) or (isinstance(error, OSError) and error.errno in _NO_ROOM):
        _empty(store, door)


def keep_limit(images: Sequence[Image], hands: Hands) -> None:
    """Where the store has a limit, bring it back to that: the cache that was not used for longest goes, also what this
    build has used, but not its images. Tells of a limit that cannot be kept: the build has succeeded all the same."""
    limit = hands.request.store_limit_bytes
    if not limit:
        return
    from builder.store.policy import Policy
    from builder.store.prune import prune, size_bytes

    spared = frozenset(image.manifest.digest for image in images)
    try:
        if size_bytes(hands.store) <= limit:
            return
        freed = prune(hands.store, Policy(keep_bytes=limit, spared=spared))
        if freed.gone:
            empty_trash(hands.store, hands.door)
    except StoreError as error:
        hands.emit(Note(f"the limit of the store's size was not kept: {error.message}"))
        return
    if freed.left_bytes > limit:
        hands.emit(Note(_over(freed, limit)))


def _over(freed: Freed, limit: int) -> str:
    size = f"the store takes {_mega(freed.left_bytes)}, more than its limit of {_mega(limit)}"
    if freed.named_bytes > limit:
        return f"{size}: its images need {_mega(freed.named_bytes)} (pybuild rmi removes one)"
    return f"{size}: the rest is in use by builds that run now, or part of this image"


def _mega(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB"


def empty_trash(store: Store, door: Door) -> tuple[list[Path], PybuildError | None]:
    """Remove what is in the trash: by ourselves what we may, the rest by the worker, which is started for nothing else
    than that. What is still there, and why. Raises StoreError for a trash that cannot be read."""
    from builder.tree.remove import remove_tree

    for path in store.trash():
        try:
            remove_tree(os.fsencode(path))
        except OSError:
            continue  # directories of sub-ids
    left = store.trash()
    if not left:
        return [], None
    try:
        _have_removed(left, door)
    except PybuildError as error:
        return [path for path in left if os.path.lexists(path)], error
    return [], None


def _empty(store: Store, door: Door) -> int:
    try:
        waiting = store.trash()
        if not waiting:
            return 0
        return _have_removed(waiting, door)
    except PybuildError:
        return 0  # what could not be removed stays in the trash, and the next build tries again


def _have_removed(paths: Sequence[Path], door: Door) -> int:
    from builder.values.crossing import Removed, RemoveJob

    return door.call(RemoveJob(tuple(map(str, paths))), Removed).paths
