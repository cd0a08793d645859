"""One entry of a layer or a file tree, the row of every layer index.

A NamedTuple and not a dataclass: trees have hundreds of thousands of these, and a frozen dataclass costs ten times as
much to make. Paths are bytes, relative to the root, without `.`, `..`, a leading or trailing `/`; the root itself is
`b""`. A tar's or overlay's whiteouts are kinds here, never names.
"""

# Without `from __future__ import annotations`: of each type that is only text NamedTuple compiles an expression, which
# takes a millisecond for these.
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What an entry is."""

    FILE = "f"
    DIR = "d"
    SYMLINK = "l"
    HARDLINK = "h"  # another name of the file at `link` (a path in the same layer)
    FIFO = "p"
    CHAR = "c"
    BLOCK = "b"
    SOCKET = "s"  # seen in trees, never put in a layer
    WHITEOUT = "w"  # the path is gone from the layers below
    OPAQUE = "o"  # what the layers below have inside this directory is hidden


_CLUSTER_BYTES = 4096


def room_of(kind: str, size: int) -> int:
    """The room on a disk, in bytes, of a file of `size` bytes or of a directory: whole clusters; none for others."""
    if kind == Kind.FILE:
        return -(-size // _CLUSTER_BYTES) * _CLUSTER_BYTES
    return _CLUSTER_BYTES if kind == Kind.DIR else 0


class Entry(NamedTuple):
    """A path and all that a layer says about it."""

    path: bytes
    kind: Kind
    mode: int = 0o644  # permission bits with setuid, setgid and sticky; no file type
    uid: int = 0
    gid: int = 0
    size: int = 0  # bytes; 0 unless kind is FILE
    mtime_ns: int = 0
    link: bytes = b""  # SYMLINK: the target as written; HARDLINK: the other path
    xattrs: tuple[tuple[str, bytes], ...] = ()  # sorted by name
    offset: int = -1  # of the content in the layer's uncompressed tar; -1 where there is none
    digest: str = ""  # sha256 of the content in hex; "" unless kind is FILE
    rdev: tuple[int, int] = (0, 0)  # CHAR and BLOCK: major, minor
