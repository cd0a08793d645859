"""A new cache directory, empty or as a copy of a directory of an image.

The copy is made beside the place and renamed to it, so that a cache never starts half-filled. The tree that is copied
is a mounted image: links in it are copied, never followed. Nothing here mounts.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from builder.errors import ContextError
from builder.kernel.mounts import open_within, owned

_COPY_BYTES = 1 << 30
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Owner = tuple[int, int, int]
"""uid, gid and mode of the directory itself."""


def new_directory(path: str, seed_tree: str | None, seed_source: str, owner: Owner) -> None:
    """Make the directory `path` (its parent exists), filled with what `seed_source` of a tree has.

    Two steps may want to at once: the later one's is thrown away. Raises ContextError for a seed that is missing or no
    directory, OSError.
    """
    # Not our pid: two builds have a process of the same number each, in pid namespaces of their own.
    temporary = f"{path}.new-{os.urandom(8).hex()}"
    os.mkdir(temporary, 0o700)
    try:
        with owned(os.open(temporary, _DIRECTORY)) as target:
            if seed_tree is not None:
                with (
                    owned(open_within(seed_tree, seed_source)) as found,
                    owned(_readable(found, seed_source)) as source,
                ):
                    _copy_tree(source, target)
            uid, gid, mode = owner
            os.fchown(target, uid, gid)
            os.fchmod(target, mode)
        os.rename(temporary, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not os.path.isdir(path):
            raise
    finally:
        _remove(temporary)  # unless it was renamed


def _remove(path: str) -> None:
    """Remove what is left of a copy, if anything, without recursion."""
    directories = [path] if os.path.isdir(path) else []
    for directory in directories:  # grows meanwhile: parents come before what is in them
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.path)
                else:
                    os.unlink(entry.path)
    for directory in reversed(directories):
        os.rmdir(directory)


def _readable(found: int, seed_source: str) -> int:
    try:
        return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except NotADirectoryError:
        raise ContextError(f"the source {seed_source!r} of a cache is not a directory") from None


def _copy_tree(source: int, target: int) -> None:
    """Copy what the directory has, level by level, without recursion: its depth is a stranger's choice."""
    waiting: list[bytes] = [b"."]
    links: dict[int, bytes] = {}
    directories: list[tuple[bytes, os.stat_result]] = []
    while waiting:
        path = waiting.pop()
        for name, status in _entries(source, path):
            inner = os.path.join(path, name)
            if stat.S_ISDIR(status.st_mode):
                os.mkdir(inner, 0o700, dir_fd=target)
                directories.append((inner, status))
                waiting.append(inner)
            elif status.st_nlink > 1 and status.st_ino in links:
                os.link(links[status.st_ino], inner, src_dir_fd=target, dst_dir_fd=target, follow_symlinks=False)
            elif _copy_leaf(source, target, inner, status):
                links[status.st_ino] = inner
    for path, status in reversed(directories):  # filling a directory changes its time
        _copy_attributes(source, target, path, status)


def _entries(source: int, path: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    with owned(os.open(path, _DIRECTORY, dir_fd=source)) as directory:
        for name in os.listdir(directory):
            encoded = os.fsencode(name)
            yield encoded, os.stat(encoded, dir_fd=directory, follow_symlinks=False)


def _copy_leaf(source: int, target: int, path: bytes, status: os.stat_result) -> bool:
    """Copy a file or a link; devices, sockets and FIFOs have no place in a cache."""
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(path, dir_fd=source), path, dir_fd=target)
    elif stat.S_ISREG(status.st_mode):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with (
            owned(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)) as one,
            owned(os.open(path, flags, 0o600, dir_fd=target)) as other,
        ):
            while os.sendfile(other, one, None, _COPY_BYTES):
                pass
    else:
        return False
    _copy_attributes(source, target, path, status)
    return True


def _copy_attributes(source: int, target: int, path: bytes, status: os.stat_result) -> None:
    """The owner first, because changing it takes set-id bits and capabilities away; the times last."""
    os.chown(path, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(path, stat.S_IMODE(status.st_mode), dir_fd=target)
        one, other = (b"/proc/self/fd/%d/%s" % (fd, path) for fd in (source, target))
        for key in os.listxattr(one, follow_symlinks=False):
            if not key.startswith("user.overlay."):
                os.setxattr(other, key, os.getxattr(one, key, follow_symlinks=False), follow_symlinks=False)
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(path, ns=times, dir_fd=target, follow_symlinks=False)
