"""Steps where no overlay can be mounted: the stack of trees as one plain copy before the step, its changes afterwards.

`merge` makes the plain directory that the step runs on. `changes_into_upper` then compares it with the stack and moves
what differs into a directory in overlay form, so that commit and snapshots need not know how the step was run. It moves
by renaming: the plain directory is used up. What mounting an overlay takes, and that it failed, is known to kernel/.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from builder.tree.diff import same_directory, unchanged
from builder.tree.inode import (
    OWNER_XATTR,
    checked_length,
    entry_at,
    is_image_xattr,
    is_whiteout,
    lstat_at,
    proc_path,
    xattr_at,
    xattr_names,
)
from builder.tree.lowers import Lowers, Seen, listed, look, names_in
from builder.values.entry import Entry, Kind

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_BYTES = 1 << 30


def merge(lowers: Sequence[str], target: str) -> None:
    """Make the directory `target` (missing or empty) the one tree that `lowers` (uppermost first) make together.

    Owners, modes, times, attributes and hard links are kept; data is shared where the file system can. Raises OSError.
    """
    with Lowers(lowers) as below:
        fd = _directory_of(target)
        try:
            _merge_into(fd, below)
        finally:
            os.close(fd)


def changes_into_upper(merged: str, lowers: Sequence[str], upper: str) -> None:
    """Move what a step changed in `merged` (made by `merge`) into `upper` (missing or empty), in overlay form.

    Both are on one file system. Raises OSError, and ImageError for paths that are too long.
    """
    with Lowers(lowers) as below:
        merged_fd = os.open(merged, _DIRECTORY)
        upper_fd = _directory_of(upper)
        try:
            _Mover(merged_fd, upper_fd, _changed_groups(merged_fd, below)).move(below)
        finally:
            os.close(merged_fd)
            os.close(upper_fd)


class _Pair(NamedTuple):
    """A path with what the step's directory has there (its lstat) and what the stack has; one of them may be None."""

    path: bytes
    status: os.stat_result | None
    seen: Seen | None


def _pairs(fd: int, below: Lowers) -> Iterator[_Pair]:
    """Both sides of every path but the root's, parents first, in the order of the bytes; only `fd` is descended into.

    What a consumer moves away after its pair was given is not missed.
    """
    frames = [(b"", below.dirs, iter(sorted({*listed(fd, b""), *names_in(below.dirs, b"")})))]
    while frames:
        prefix, dirs, names = frames[-1]
        name = next(names, None)
        if name is None:
            frames.pop()
            continue
        path = checked_length(prefix + name)
        try:
            status = lstat_at(fd, path)
        except FileNotFoundError:
            status = None
        seen = look(dirs, path) if dirs else None
        yield _Pair(path, status, seen)
        if status and stat.S_ISDIR(status.st_mode):
            below_path = seen.dirs if seen else ()
            frames.append((path + b"/", below_path, iter(sorted({*listed(fd, path), *names_in(below_path, path)}))))


def _merge_into(target: int, below: Lowers) -> None:
    links: dict[tuple[int, int], bytes] = {}
    directories: list[tuple[bytes, Seen]] = []
    for path, seen in _merged(below):
        status = seen.status
        if stat.S_ISDIR(status.st_mode):
            if path:
                os.mkdir(path, 0o700, dir_fd=target)
            directories.append((path, seen))
            continue
        if status.st_nlink > 1:
            first = links.setdefault((seen.fd, status.st_ino), path)
            if first != path:
                os.link(first, path, src_dir_fd=target, dst_dir_fd=target, follow_symlinks=False)
                continue
        _copy(seen, target, path)
    for path, seen in reversed(directories):  # last, because filling a directory changes its time
        _copy_attributes(seen.fd, seen.status, target, path)


def _merged(below: Lowers) -> Iterator[tuple[bytes, Seen]]:
    """All that the stack has, parents first, in the order of the bytes; the root first of all."""
    root = look(below.dirs, b"")
    if root is None:
        return
    yield b"", root
    frames = [(b"", root.dirs, iter(sorted(names_in(root.dirs, b""))))]
    while frames:
        prefix, dirs, names = frames[-1]
        name = next(names, None)
        if name is None:
            frames.pop()
            continue
        path = checked_length(prefix + name)
        seen = look(dirs, path)
        if seen is not None:
            yield path, seen
            if seen.dirs:
                frames.append((path + b"/", seen.dirs, iter(sorted(names_in(seen.dirs, path)))))


def _copy(seen: Seen, target: int, path: bytes) -> None:
    """Make a copy of something that is no directory, with all its attributes. Sockets are left out."""
    mode = seen.status.st_mode
    if stat.S_ISSOCK(mode):
        return
    if stat.S_ISREG(mode):
        _copy_content(seen.fd, target, path)
    elif stat.S_ISLNK(mode):
        os.symlink(os.readlink(path, dir_fd=seen.fd), path, dir_fd=target)
    else:
        os.mknod(path, stat.S_IFMT(mode) | 0o600, seen.status.st_rdev, dir_fd=target)
    _copy_attributes(seen.fd, seen.status, target, path)


def _copy_content(source: int, target: int, path: bytes) -> None:
    one = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    try:
        other = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=target)
        try:
            while _copy_some(one, other):
                pass
        finally:
            os.close(other)
    finally:
        os.close(one)


def _copy_some(one: int, other: int) -> int:
    try:
        return os.copy_file_range(one, other, _COPY_BYTES)
    except OSError as error:  # between file systems before Linux 5.19, or not supported by one of them
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    return os.sendfile(other, one, None, _COPY_BYTES)


def _copy_attributes(source: int, status: os.stat_result, target: int, path: bytes) -> None:
    """Owner first, because changing it takes away setuid bits and capabilities; the time last."""
    name = path or b"."
    os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    mode = status.st_mode
    if not stat.S_ISLNK(mode):
        os.chmod(name, stat.S_IMODE(mode), dir_fd=target)
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        for key in xattr_names(source, path):
            if is_image_xattr(key) or key == OWNER_XATTR:
                value = xattr_at(source, path, key)
                os.setxattr(proc_path(target, path), key, value, follow_symlinks=False)
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)


def _changed_groups(fd: int, below: Lowers) -> frozenset[int]:
    """Inodes with several names of which any is new or changed: then all their names are put into the upper directory.

    Only so can they be hard links of one layer, as they are when overlay copies a file up to link it.
    """
    changed: set[int] = set()
    partners: dict[int, tuple[int, int]] = {}
    for path, status, seen in _pairs(fd, below):
        if status is None or status.st_nlink < 2 or stat.S_ISDIR(status.st_mode) or status.st_ino in changed:
            continue
        if seen is None or not unchanged(fd, entry_at(fd, path, status), seen):
            changed.add(status.st_ino)
        else:
            partner = (seen.fd, seen.status.st_ino)
            if partners.setdefault(status.st_ino, partner) != partner:
                changed.add(status.st_ino)
    return frozenset(changed)


class _Mover:
    """The second walk, which moves. `_directories` has the lstat of each directory from before things left it."""

    def __init__(self, merged: int, upper: int, groups: frozenset[int]) -> None:
        self._merged = merged
        self._upper = upper
        self._groups = groups
        self._directories: dict[bytes, os.stat_result] = {b"": lstat_at(merged, b"")}
        self._made: list[bytes] = [b""]
        self._is_made = {b""}

    def move(self, below: Lowers) -> None:
        for pair in _pairs(self._merged, below):
            self._visit(*pair)
        for path in reversed(self._made):  # the root too: overlay shows the upper one's attributes
            _copy_attributes(self._merged, self._directories[path], self._upper, path)

    def _visit(self, path: bytes, status: os.stat_result | None, seen: Seen | None) -> None:
        if status is None or stat.S_ISSOCK(status.st_mode) or is_whiteout(status):
            if seen is not None:
                self._make_parents(path)
                os.mknod(path, stat.S_IFCHR, 0, dir_fd=self._upper)
            return
        entry = entry_at(self._merged, path, status)
        if entry.kind is Kind.DIR:
            self._directories[path] = status
            if not _is_same_directory(entry, seen):
                self._make_parents(path + b"/")
        elif status.st_ino in self._groups or seen is None or not unchanged(self._merged, entry, seen):
            self._make_parents(path)
            os.rename(path, path, src_dir_fd=self._merged, dst_dir_fd=self._upper)

    def _make_parents(self, path: bytes) -> None:
        """Make the directories that `path` lies in, as far as they are not there yet."""
        at = path.find(b"/")
        while at >= 0:
            parent = path[:at]
            if parent not in self._is_made:
                os.mkdir(parent, 0o700, dir_fd=self._upper)
                self._is_made.add(parent)
                self._made.append(parent)
            at = path.find(b"/", at + 1)


def _is_same_directory(entry: Entry, seen: Seen | None) -> bool:
    return seen is not None and bool(seen.dirs) and same_directory(entry, entry_at(seen.fd, entry.path, seen.status))


def _directory_of(path: str) -> int:
    os.makedirs(path, 0o700, exist_ok=True)
    return os.open(path, _DIRECTORY)
