"""Mount points that an image lacks, as an extra topmost lower layer, so that a step's upper layer never shows them.

A directory of that layer hides the attributes of the same directory in the layers below. So the layer repeats, for
every directory on the way, what the merged view has: mode, owner, times, xattrs. Nothing here mounts.
Source: Documentation/filesystems/overlayfs.rst, "merged directories".
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from builder.declare import dataclass
from builder.errors import ContextError
from builder.kernel.beneath import Names, locate, open_real

_HIDDEN = ("user.overlay.", "trusted.overlay.")  # overlay's own marks


@dataclass(frozen=True, slots=True)
class Target:
    """A path in the image that something will be mounted on: on a directory or on a file.

    `real` ones are ours (/dev …): where there is no points layer they are made beforehand, and no link is followed.
    """

    path: str
    directory: bool
    real: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """A mount point that has to be made: its names without links, of which the first `existing` are there."""

    names: Names
    existing: int
    directory: bool


def missing_points(view: int, targets: Iterable[Target]) -> tuple[Point, ...]:
    """Which of the targets, given from the outside in, are missing in the merged view (a directory descriptor).

    What lies inside an earlier target is left out: it will be made in what is mounted there. Raises ContextError.
    """
    mounted: set[Names] = set()
    points: list[Point] = []
    for target in targets:
        found = locate(view, target.path, mounted)
        if found.nested or any(found.names[:depth] in mounted for depth in range(1, len(found.names))):
            continue
        if not found.names:
            raise ContextError(f"cannot mount at {target.path!r}: that is the root of the image")
        mounted.add(found.names)
        if not found.exists:
            points.append(Point(found.names, found.existing, target.directory))
    return tuple(points)


def build_layer(view: int, points: Iterable[Point], layer: str) -> None:
    """Make `layer`, a directory that does not exist yet, hold the points. Raises OSError."""
    os.mkdir(layer, 0o755)
    root = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        repeated: dict[Names, None] = {(): None}
        for point in points:
            for depth in range(1, point.existing + 1):
                repeated.setdefault(point.names[:depth])
            for depth in range(1, len(point.names) + 1):
                _make(root, point.names[:depth], point.directory or depth < len(point.names))
        # The deepest first: making a file in a directory changes the directory's time.
        for names in sorted(repeated, key=len, reverse=True):
            _repeat(view, root, names)
    finally:
        os.close(root)


def _make(root: int, names: Names, directory: bool) -> None:
    parent = _open(root, names[:-1])
    try:
        if directory:
            os.mkdir(names[-1], 0o755, dir_fd=parent)
        else:
            os.close(os.open(names[-1], os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644, dir_fd=parent))
    except FileExistsError:
        pass
    finally:
        os.close(parent)


def _repeat(view: int, root: int, names: Names) -> None:
    """Give a directory of the layer the attributes that it has in the view."""
    source, copy = _open(view, names), _open(root, names)
    try:
        found = os.fstat(source)
        if (found.st_uid, found.st_gid) != (os.getuid(), os.getgid()):
            os.fchown(copy, found.st_uid, found.st_gid)
        os.fchmod(copy, stat.S_IMODE(found.st_mode))
        for name in _xattrs(source):
            os.setxattr(copy, name, os.getxattr(source, name))
        os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))
    finally:
        os.close(source)
        os.close(copy)


def _xattrs(fd: int) -> list[str]:
    try:
        return [name for name in os.listxattr(fd) if not name.startswith(_HIDDEN)]
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


def _open(root: int, names: Names) -> int:
    return open_real(root, os.fsdecode(b"/".join(names)), os.O_RDONLY | os.O_DIRECTORY)
