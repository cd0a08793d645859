"""Owners, modes, extended attributes and times of what is unpacked, put on through open descriptors.

An owner that this process may not give (it has only one id) is remembered in an attribute of ours, which the commit
reads back; an owner outside of the range that it has is an error here. Where things are put is not known here.
Sources: chown(2), user_namespaces(7), capabilities(7), xattr(7).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Final, Self

from builder.declare import dataclass
from builder.errors import ImageError, MachineError, StoreError
from builder.tree.inode import OVERLAY_OPAQUE, OWNER_XATTR
from builder.tree.safe import shown
from builder.values.entry import Entry

SPECIAL_BITS: Final = 0o7000


@dataclass(frozen=True, slots=True)
class Owners:
    """Which owners this process can give to files.

    `own` is what new files get by themselves. With `remembers` there is no other; else `uids` and `gids` are what is
    mapped.
    """

    own: tuple[int, int]
    remembers: bool
    uids: tuple[range, ...] = ()
    gids: tuple[range, ...] = ()

    @classmethod
    def here(cls) -> Self:
        """As it is for this process: root, root of a user namespace with a range or a single id, or no root at all."""
        uids, gids = _mapped("/proc/self/uid_map"), _mapped("/proc/self/gid_map")
        single = min(sum(len(part) for part in uids), sum(len(part) for part in gids)) <= 1
        return cls((os.geteuid(), os.getegid()), single or os.geteuid() != 0, uids, gids)

    def differ(self, entry: Entry) -> bool:
        """Whether the entry needs another owner than new files have. Raises ImageError for one that is not mapped."""
        if (entry.uid, entry.gid) == self.own:
            return False
        if not self.remembers:
            _require_mapped(entry, entry.uid, self.uids, "user", "subuid")
            _require_mapped(entry, entry.gid, self.gids, "group", "subgid")
        return True

    def give_link(self, name: bytes, dir_fd: int, entry: Entry) -> None:
        """Give a symbolic link or a FIFO its owner. A single id has no way to: these have no attributes, xattr(7)."""
        if self.differ(entry) and not self.remembers:
            os.chown(name, entry.uid, entry.gid, dir_fd=dir_fd, follow_symlinks=False)


def make_so(fd: int, entry: Entry, owners: Owners, mode_now: int) -> None:
    """Give the open file or directory the entry's owner, attributes, mode and time; `mode_now` is what it has yet.

    In this order: a change of owner (and before it every write) clears setuid bits and file capabilities, chown(2); a
    file without permission to write takes no `user.` attributes from an ordinary user.
    """
    mode = entry.mode
    if owners.differ(entry):
        if owners.remembers:
            _set(fd, OWNER_XATTR, b"%d:%d" % (entry.uid, entry.gid), entry.path)
        else:
            os.fchown(fd, entry.uid, entry.gid)
            mode_now &= ~SPECIAL_BITS
    for name, value in entry.xattrs:
        _set(fd, name, value, entry.path)
    if mode != mode_now:
        os.fchmod(fd, mode)
    os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))


def set_opaque(fd: int, path: bytes) -> None:
    """Mark an open directory so that nothing of lower trees shows in it. fuse-overlayfs (1.10) heeds this mark too."""
    _set(fd, OVERLAY_OPAQUE, b"y", path)


def _set(fd: int, name: str, value: bytes, path: bytes) -> None:
    try:
        os.setxattr(fd, name, value)
    except OSError as error:
        what = f"the attribute {shown(name.encode(errors='surrogateescape'))} of {shown(path) or '/'}"
        if error.errno == errno.EOPNOTSUPP:
            raise MachineError(
                f"the store's file system cannot keep {what}",
                hint="move the store with --root to a file system with user attributes (ext4, XFS, btrfs)",
            ) from error
        if error.errno == errno.EPERM:
            raise MachineError(f"{what} may not be set here", hint="unpack inside of a user namespace") from error
        if error.errno in (errno.EINVAL, errno.ERANGE):
            raise ImageError(f"{what} has a value that the kernel refuses") from error
        if error.errno in (errno.E2BIG, errno.ENOSPC):
            raise StoreError(f"the store's file system has no room for {what} ({len(value)} bytes)") from error
        raise


def _mapped(path: str) -> tuple[range, ...]:
    """The ids that there are inside, from a map of user_namespaces(7): first inside, first outside, count."""
    with open(path, encoding="ascii") as file:
        rows = [[int(word) for word in line.split()] for line in file]
    return tuple(range(first, first + count) for first, _, count in rows)


def _require_mapped(entry: Entry, wanted: int, mapped: Sequence[range], what: str, file: str) -> None:
    if any(wanted in part for part in mapped):
        return
    last = max((part[-1] for part in mapped if part), default=0)
    raise ImageError(
        f"{shown(entry.path) or '/'} belongs to {what} {wanted}, and only ids up to {last} are there",
        # Inside, 0 is the user's own id and the range begins at 1.
        hint=f"a range of {wanted} ids in /etc/{file} would do: sudo usermod --add-{file}s FIRST-LAST USER",
    )
