"""The end of a step: what it left in its upper directory becomes a layer. Diff and pack are tied together here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from errno import ENOSPC
from itertools import chain
from pathlib import Path

from builder.errors import ImageError, StoreError
from builder.tree.diff import changes
from builder.tree.leaks import Search
from builder.tree.pack import Item, pack_watched
from builder.tree.safe import shown
from builder.values.crossing import CommitSpec, Committed
from builder.values.limits import raised_by

NOTHING = Committed("", "", 0, 0)
"""The answer where nothing had changed; no file has been made."""


def perform(job: CommitSpec) -> Committed:
    """Pack the changes of `job.upper` into `job.blob` and `job.index`, or answer NOTHING and make neither.

    Raises ImageError for what no layer can hold, or may hold (`job.limits`), StoreError where files cannot be read or
    written.
    """
    items = _bounded(changes(job.upper, job.lowers), job.limits.layer_bytes)
    if job.max_mtime_ns >= 0:
        items = _clamped(items, job.max_mtime_ns)
    try:
        first = next(items, None)
        if first is None:
            return NOTHING
        search = Search([bytes.fromhex(word) for word in job.wanted]) if job.wanted else None
        watch = None if search is None else search.feed
        files = (Path(job.blob), Path(job.index))
        packed = pack_watched(chain((first,), items), files, job.compression, job.level, watch)
    except OSError as error:
        raise StoreError(
            f"cannot commit the step's changes: {error.strerror or error} ({os.fsdecode(error.filename or job.blob)})",
            hint="free some space there" if error.errno == ENOSPC else None,
        ) from error
    return Committed(str(packed.diff_id), str(packed.digest), packed.size, packed.entries, _hits(search))


def _hits(search: Search | None) -> tuple[tuple[int, int], ...]:
    return () if search is None else tuple((hit.number, hit.offset) for hit in search.hits)


def _clamped(items: Iterator[Item], max_mtime_ns: int) -> Iterator[Item]:
    for entry, content in items:
        yield Item(entry._replace(mtime_ns=min(entry.mtime_ns, max_mtime_ns)), content)


def _bounded(items: Iterator[Item], most: int) -> Iterator[Item]:
    """The items while their files are small enough together. Raises ImageError for the first one that is too much.

    Before a byte of it is read: a sparse file says that it has terabytes and takes no room at all.
    """
    total = 0
    for item in items:
        total += item.entry.size
        if total > most:
            raise ImageError(
                f"the step made files of more than {most} bytes, /{shown(item.entry.path)} with"
                f" {item.entry.size} among them: no layer holds more",
                hint=f"what an image does not need can be removed in the same RUN; {raised_by('layer')}",
            )
        yield item
