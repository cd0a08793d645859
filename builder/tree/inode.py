"""What an inode of a file tree says, as an Entry; and the marks that overlay file systems and we leave on inodes.

Everything is looked up with lstat beneath a directory descriptor; callers give only paths whose directories they know
to be real directories. Which of two inodes wins, and what is done with them, is decided elsewhere.
Sources: Documentation/filesystems/overlayfs.rst ("whiteouts and opaque directories", "User xattr"); xattr(7).
"""

from __future__ import annotations

import errno
import os
import stat
from functools import cache
from typing import Final

from builder.errors import ImageError
from builder.values.entry import Entry, Kind

OWNER_XATTR: Final = "user.pybuild.owner"
"""Set where the single-id rung could not give a file its owner: `uid:gid`, as the layer has or will have it."""

OVERLAY_OPAQUE: Final = "user.overlay.opaque"
MAX_PATH_BYTES: Final = 4000
"""Longer paths cannot be opened in one call (PATH_MAX, with room for a prefix), by us or by whoever gets the layer."""

_PRIVATE = ("user.overlay.", "user.fuseoverlayfs.", "user.pybuild.")
_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIR,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFSOCK: Kind.SOCKET,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
}


def lstat_at(fd: int, path: bytes) -> os.stat_result:
    """The inode at `path` beneath `fd` (`b""` is the directory itself), a last link not followed. Raises OSError."""
    return os.stat(path or b".", dir_fd=fd, follow_symlinks=False)


def entry_at(fd: int, path: bytes, status: os.stat_result) -> Entry:
    """The entry of the inode at `path`, whose lstat is `status`; offset and digest are not known.

    Of the extended attributes only those that belong into an image are there: `user.*` and file capabilities. Others
    describe this machine (SELinux labels, ACLs inherited from the store's directory).
    """
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    uid, gid = status.st_uid, status.st_gid
    size, link, rdev = 0, b"", (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    if kind is Kind.FILE or kind is Kind.DIR:  # others have no user attributes, xattr(7)
        size = status.st_size if kind is Kind.FILE else 0
        names = xattr_names(fd, path)
        if names:
            xattrs = tuple([(name, xattr_at(fd, path, name)) for name in sorted(names) if is_image_xattr(name)])
            if OWNER_XATTR in names and owners_are_remembered():
                uid, gid = _owner(xattr_at(fd, path, OWNER_XATTR), uid, gid)
    elif kind is Kind.SYMLINK:
        link = os.readlink(path, dir_fd=fd)
    elif kind is Kind.CHAR or kind is Kind.BLOCK:
        rdev = (os.major(status.st_rdev), os.minor(status.st_rdev))
    return Entry(
        path, kind, stat.S_IMODE(status.st_mode), uid, gid, size, status.st_mtime_ns, link, xattrs, -1, "", rdev
    )


@cache
def owners_are_remembered() -> bool:
    """Whether this process can give files no owner but its own, so that `OWNER_XATTR` says whose they would be.

    Where it can, the attribute means nothing: any user of a step could put it on a file of its own, and have a layer
    hold that file as root's.
    """
    if os.geteuid() != 0:
        return True
    return min(_mapped_ids("/proc/self/uid_map"), _mapped_ids("/proc/self/gid_map")) <= 1


def _mapped_ids(path: str) -> int:
    """How many ids a map of user_namespaces(7) holds."""
    with open(path, "rb") as file:
        return sum(int(line.split()[2]) for line in file)


def is_whiteout(status: os.stat_result) -> bool:
    """Whether this is overlay's mark for "not here": a character device 0:0."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(fd: int, path: bytes) -> bool:
    """Whether the directory hides what lower trees have inside it.

    Only overlay's own mark counts. fuse-overlayfs's (`user.fuseoverlayfs.opaque`) is an ordinary attribute to the
    kernel, which copies it up with the directory: believing it there would hide, and so lose, all that lower trees have
    in a merely copied directory. What fuse-overlayfs leaves is turned into overlay's form when its step ends.
    """
    return OVERLAY_OPAQUE in xattr_names(fd, path) and xattr_at(fd, path, OVERLAY_OPAQUE) == b"y"


def is_image_xattr(name: str) -> bool:
    """Whether an attribute belongs into an image: `user.*` but for overlay's and ours, and file capabilities."""
    return name == "security.capability" or (name.startswith("user.") and not name.startswith(_PRIVATE))


def xattr_names(fd: int, path: bytes) -> list[str]:
    """The names of all attributes of a file or directory beneath `fd`; none where the file system has no such thing."""
    try:
        return os.listxattr(proc_path(fd, path), follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return []
        raise


def xattr_at(fd: int, path: bytes, name: str) -> bytes:
    """The value of one attribute. Raises OSError."""
    return os.getxattr(proc_path(fd, path), name, follow_symlinks=False)


def proc_path(fd: int, path: bytes) -> bytes:
    """A path beneath a descriptor for calls that know no directory descriptors (the xattr calls before Linux 6.13)."""
    return b"/proc/self/fd/%d/%b" % (fd, path or b".")


def checked_length(path: bytes) -> bytes:
    """`path`, or ImageError where it is too long for anybody to open."""
    if len(path) > MAX_PATH_BYTES:
        start = path[:60].decode("utf-8", "backslashreplace")
        raise ImageError(
            f"a path of {len(path)} bytes ({start!r}…) cannot be in a layer",
            hint="remove such deep directories in the step that makes them",
        )
    return path


def _owner(value: bytes, uid: int, gid: int) -> tuple[int, int]:
    """What an owner attribute says. A step can write it too: what is not two numbers is not ours and counts not."""
    left, colon, right = value.partition(b":")
    if colon and left.isdigit() and right.isdigit() and len(value) <= 21:
        return int(left), int(right)
    return uid, gid
