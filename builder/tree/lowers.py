"""A stack of file trees in overlay form, looked at as the one tree that they make together. Nothing here writes.

The trees are snapshots: nobody changes them while they are read. A path is looked up only in trees in which its parent
is a real directory (`dirs`, from the look at the parent), so no lookup passes through a link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self

from builder.tree.inode import is_opaque, is_whiteout, lstat_at


class Seen(NamedTuple):
    """What the merged tree has at a path: the tree it is in (its descriptor) and its lstat.

    For a directory `dirs` are the trees that its content is merged from, uppermost first; else it is empty.
    """

    fd: int
    status: os.stat_result
    dirs: tuple[int, ...]


class Lowers:
    """The stack; `dirs` are all its trees, as for a look at what is in the root. Closed by `with`."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Open the directories `paths`, uppermost first. Raises OSError."""
        fds: list[int] = []
        try:
            for path in paths:
                fds.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        self.dirs = tuple(fds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd in self.dirs:
            os.close(fd)
        self.dirs = ()


def look(dirs: tuple[int, ...], path: bytes) -> Seen | None:
    """What is at `path`, whose parent is merged from `dirs`; None where nothing is, or a whiteout hides it."""
    first: Seen | None = None
    found: list[int] = []
    for fd in dirs:
        try:
            status = lstat_at(fd, path)
        except FileNotFoundError:
            continue
        if is_whiteout(status):
            break
        if not stat.S_ISDIR(status.st_mode):
            if first is None:
                return Seen(fd, status, ())
            break
        first = first or Seen(fd, status, ())
        found.append(fd)
        if is_opaque(fd, path):
            break
    return first._replace(dirs=tuple(found)) if first else None


def names_in(dirs: tuple[int, ...], path: bytes) -> set[bytes]:
    """The names that any tree of `dirs` has in the directory `path`; some may be whiteouts, which only `look` shows."""
    names: set[bytes] = set()
    for fd in dirs:
        names.update(listed(fd, path))
    return names


def is_empty(dirs: tuple[int, ...], path: bytes) -> bool:
    """Whether the merged directory `path` has nothing in it."""
    prefix = path + b"/" if path else b""
    return all(look(dirs, prefix + name) is None for name in names_in(dirs, path))


def listed(fd: int, path: bytes) -> list[bytes]:
    """The names in one directory, in no order."""
    directory = os.open(path or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    try:
        return [os.fsencode(name) for name in os.listdir(directory)]
    finally:
        os.close(directory)
