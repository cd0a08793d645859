"""The unpack job: a layer's blob becomes a snapshot directory in overlay form, verified, with its index written.

One pass on two threads: one decompresses the blob and hashes it, the other reads it as a tar and writes and hashes each
file, with no more memory than a few buffers and one row for each directory. Nothing is synced here: a snapshot can be
made again from its blob, and whoever gives it its final name decides what must be on the platter before (one syncfs(2)
costs less than an fsync(2) of each file). Where things are put is `place`'s business, what the blob means is
`tarformat`'s.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from builder.errors import ImageError, PybuildError, StoreError
from builder.tree import bounds
from builder.tree.ahead import Ahead
from builder.tree.attributes import Owners
from builder.tree.compress import decompressor
from builder.tree.index import IndexWriter
from builder.tree.lowers import Lowers
from builder.tree.measured import Measured
from builder.tree.merged import MADE_MODE
from builder.tree.place import Placer
from builder.tree.safe import shown
from builder.tree.tarformat import Content, read_entries
from builder.values.crossing import Unpacked, UnpackJob
from builder.values.digest import DiffId
from builder.values.entry import Entry, room_of


def perform(job: UnpackJob) -> Unpacked:
    """Do an UnpackJob, in a process of its own: its limits hold from here on. Raises as `unpack_layer` does."""
    bounds.enforce(job.limits)
    return _unpack(job)


def unpack_layer(blob: str, media_type: str, diff_id: DiffId, lowers: tuple[str, ...], target: str, index: str) -> int:
    """Unpack a layer over `lowers` (uppermost first) into the new directory `target`; how many entries it has.

    The index is written to the new file `index` unless that is empty. Raises ImageError for a layer that is damaged,
    hostile, too large, or not the one with this diff-id; MachineError, StoreError for what the machine lacks. After an
    error `target` and `index` are there in part, for the caller to discard.
    """
    return _unpack(UnpackJob(blob, media_type, str(diff_id), lowers, target, index)).entries


def _unpack(job: UnpackJob) -> Unpacked:
    diff_id = DiffId.parse(job.diff_id)
    try:
        with (
            open(job.blob, "rb", buffering=0) as raw,
            Lowers(job.lowers) as below,
            _new_directory(job.target) as target,
            Placer(target, below.dirs, Owners.here()) as placer,
            IndexWriter(job.index) if job.index else _NoIndex() as rows,
        ):
            stream = Measured(decompressor(job.media_type, raw), os.fstat(raw.fileno()).st_size)
            with Ahead(stream) as ahead:
                room_bytes = 0
                for entry, content in read_entries(ahead):
                    rows.add(_placed(placer, entry, content))
                    room_bytes += room_of(entry.kind, entry.size)
                placer.finish()
                ahead.drain()
            stream.verify(diff_id)
            rows.finish(diff_id)
            return Unpacked(rows.entries, len(placer.devices), room_bytes)
    except OSError as error:
        raise _explained(error, error.filename or job.target) from error


def _placed(placer: Placer, entry: Entry, content: Content) -> Entry:
    try:
        return placer.place(entry, content)
    except OSError as error:
        raise _explained(error, entry.path) from error


@contextmanager
def _new_directory(path: str) -> Iterator[int]:
    """A descriptor of the directory `path`, made now, in which things get exactly the modes and owners they are given.

    A parent with a default ACL or setgid bit would hand these down, acl(5), mkdir(2); and so would the umask.
    """
    umask = os.umask(0)
    try:
        os.mkdir(path, MADE_MODE)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchown(fd, -1, os.getegid())
            os.fchmod(fd, MADE_MODE)
            for name in ("system.posix_acl_default", "system.posix_acl_access"):
                _remove_attribute(fd, name)
            yield fd
        finally:
            os.close(fd)
    finally:
        os.umask(umask)


def _remove_attribute(fd: int, name: str) -> None:
    try:
        os.removexattr(fd, name)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
            raise


class _NoIndex:
    """Takes the place of an IndexWriter where no index is asked for."""

    def __init__(self) -> None:
        self.entries = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def add(self, _: Entry) -> None:
        self.entries += 1

    def finish(self, _: DiffId) -> None:
        pass


def _explained(error: OSError, path: str | bytes) -> PybuildError:
    """An error of the file system in words; whose fault it is follows from its number."""
    where = shown(os.fsencode(path)) or "/"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"no space left for {where}", hint="free some room, or put the store elsewhere with --root")
    if error.errno in (errno.ENAMETOOLONG, errno.EMLINK, errno.EILSEQ, errno.EINVAL):
        return ImageError(f"{where} cannot be unpacked on this file system: {error.strerror}")
    return StoreError(f"cannot unpack {where}: {error.strerror}")
