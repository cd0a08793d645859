"""Files that have no name until they are whole, so that whoever is killed while writing one leaves nothing behind.

Source: open(2), O_TMPFILE, which also says how such a file is linked without privilege, through /proc/self/fd.
"""

from __future__ import annotations

import errno
import os

_UNKNOWN = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)  # NFS, older FUSE and overlayfs have no such files


def open_nameless(directory: int | str, mode: int) -> int | None:
    """A new file on the directory's file system, for writing; None where that has none. Raises OSError.

    `directory` is a path or a handle (O_PATH will do); the umask is taken from `mode`.
    """
    at, handle = (".", directory) if isinstance(directory, int) else (directory, None)
    try:
        return os.open(at, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, mode, dir_fd=handle)
    except OSError as error:
        if error.errno in _UNKNOWN:
            return None
        raise


def give_name(fd: int, name: bytes | str, directory: int | None = None) -> None:
    """Give the file its name, in `directory` if that is a handle. Raises FileExistsError where it is taken, OSError."""
    # Python calls linkat(2), which follows the link in /proc, only where it is given a handle; the path needs none.
    os.link(f"/proc/self/fd/{fd}", os.fsdecode(name), src_dir_fd=fd, dst_dir_fd=directory, follow_symlinks=True)
