"""Removing trees, whoever owns what is in them and however deep they are. Nothing here decides what may go.

Depth is somebody else's choice: a step can make directories deeper than any path or number of descriptors reaches. So a
directory that is not empty is moved to the top of the tree that is being removed, and emptied there; no walk is ever
deeper than one directory. Links are removed, never followed; what is mounted inside is never entered.
Sources: unlink(2), rename(2), openat2(2).
"""

from __future__ import annotations

import errno
import os
import stat
from itertools import count
from typing import TYPE_CHECKING

from builder.errors import StoreError
from builder.kernel.constants import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV
from builder.kernel.syscalls import openat2
from builder.tree.safe import shown

if TYPE_CHECKING:
    from builder.values.crossing import Removed, RemoveJob

_INTO = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
_OWN_NAME = b".pybuild-removed-%d"


def perform(job: RemoveJob) -> Removed:
    """Remove the paths of the job; says how many were there. One that cannot be removed does not save the others.

    Raises StoreError in the end, with the first that could not.
    """
    from builder.values.crossing import Removed  # only the worker gets here, and it has it

    removed = 0
    failed: StoreError | None = None
    for path in job.paths:
        try:
            removed += remove_tree(os.fsencode(path))
        except OSError as error:
            failed = failed or _cannot(os.fsencode(path), error)
    if failed is not None:
        raise failed
    return Removed(removed)


def remove_tree(path: bytes) -> bool:
    """Remove what is at `path`, a directory with all that is in it; whether there was anything. Raises OSError."""
    head, _, name = path.rstrip(b"/").rpartition(b"/")
    if name in (b"", b".", b".."):
        raise OSError(errno.EINVAL, "is no name of something that could be removed", path)
    try:
        parent = os.open(head or (b"/" if path.startswith(b"/") else b"."), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return remove_at(parent, name)
    finally:
        os.close(parent)


def remove_at(parent: int, name: bytes) -> bool:
    """Remove `name` in the directory `parent`, with all that is in it; whether it was there. Raises OSError."""
    try:
        os.unlink(name, dir_fd=parent)
        return True
    except FileNotFoundError:
        return False
    except (IsADirectoryError, PermissionError):  # EISDIR is Linux's, EPERM is POSIX's answer for a directory
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise
    try:
        os.rmdir(name, dir_fd=parent)
        return True
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    top = _open_writable(parent, name)
    try:
        _empty(top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)
    return True


def _empty(top: int) -> None:
    """Remove all that is in the directory `top`."""
    numbers = count()
    waiting = [os.fsencode(name) for name in os.listdir(top)]
    while waiting:
        name = waiting.pop()
        if _gone(top, name):
            continue
        directory = _open_writable(top, name)
        try:
            for each in os.listdir(directory):
                child = os.fsencode(each)
                if not _gone(directory, child):
                    waiting.append(_to_top(directory, child, top, numbers))
        finally:
            os.close(directory)
        os.rmdir(name, dir_fd=top)


def _gone(directory: int, name: bytes) -> bool:
    """Remove a file or an empty directory; False for a directory that is not empty."""
    try:
        os.unlink(name, dir_fd=directory)
        return True
    except FileNotFoundError:
        return True
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise
    try:
        os.rmdir(name, dir_fd=directory)
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise


def _to_top(directory: int, name: bytes, top: int, numbers: count[int]) -> bytes:
    """Move a directory to the top, under a name that nothing else has there; the name."""
    moved = False
    while True:
        new_name = _OWN_NAME % next(numbers)
        try:
            os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=top)
            return new_name
        except NotADirectoryError:
            continue  # somebody has a file of this name; an empty directory is replaced, which is as well
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                continue
            # To be moved elsewhere a directory must be writable itself: its `..` changes.
            if moved or error.errno not in (errno.EACCES, errno.EPERM):
                raise
            moved = True
            os.close(_open_writable(directory, name))


def _open_writable(parent: int, name: bytes) -> int:
    """A descriptor of the directory `name`, which may be read, written and searched from now on.

    Raises OSError; EXDEV if something is mounted on it.
    """
    look = openat2(parent, name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, 0, _INTO)
    try:
        if os.fstat(look).st_mode & 0o700 != 0o700:
            os.chmod(b"/proc/self/fd/%d" % look, 0o700)  # an O_PATH descriptor itself takes no fchmod(2)
    finally:
        os.close(look)
    return openat2(parent, name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, 0, _INTO)


def _cannot(path: bytes, error: OSError) -> StoreError:
    hint = None
    if error.errno in (errno.EPERM, errno.EACCES):
        hint = "it may belong to ids of the user namespace: pybuild unshare rm -rf … removes those"
    elif error.errno in (errno.EXDEV, errno.EBUSY):
        hint = "something is mounted inside; unmount it first"
    return StoreError(f"cannot remove {shown(path)}: {error.strerror}", hint=hint)
