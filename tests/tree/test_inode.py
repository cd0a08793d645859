"""What inodes say, and the marks on them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.tree.inode import (
    MAX_PATH_BYTES,
    OVERLAY_OPAQUE,
    OWNER_XATTR,
    checked_length,
    entry_at,
    is_image_xattr,
    is_opaque,
    is_whiteout,
    lstat_at,
)
from builder.values.entry import Entry, Kind
from tests.tree import inside


def looked_at(root: Path, path: str) -> Entry:
    fd = os.open(root, os.O_PATH)
    try:
        return entry_at(fd, path.encode(), lstat_at(fd, path.encode()))
    finally:
        os.close(fd)


def test_kinds(tmp_path: Path) -> None:
    """Each kind of inode is an entry with what that kind has, a last link not followed."""
    (tmp_path / "d").mkdir(mode=0o750)
    (tmp_path / "d" / "f").write_bytes(b"abc")
    (tmp_path / "d" / "f").chmod(0o4711)
    (tmp_path / "l").symlink_to("d/f")
    os.mkfifo(tmp_path / "p", 0o600)
    for path, ns in (("d/f", 1_500_000_000), ("l", 7), ("p", 8), ("d", 9)):
        os.utime(tmp_path / path, ns=(0, ns), follow_symlinks=False)
    ours = (os.getuid(), os.getgid())
    assert looked_at(tmp_path, "d/f") == Entry(b"d/f", Kind.FILE, 0o4711, *ours, 3, 1_500_000_000)
    assert looked_at(tmp_path, "d") == Entry(b"d", Kind.DIR, 0o750, *ours, 0, 9)
    assert looked_at(tmp_path, "l") == Entry(b"l", Kind.SYMLINK, 0o777, *ours, 0, 7, b"d/f")
    assert looked_at(tmp_path, "p") == Entry(b"p", Kind.FIFO, 0o600, *ours, 0, 8)
    assert looked_at(tmp_path, "").kind is Kind.DIR


@pytest.mark.parametrize(
    ("value", "owner"),
    [
        (b"7:8", (7, 8)),
        (b"4294967294:0", (4294967294, 0)),
        (b"7", None),
        (b"a:b", None),
        (b"-1:0", None),
        (b"", None),
        (b"1" * 30 + b":1", None),
        (b"1:2:3", None),
    ],
)
def test_owner_mark(tmp_path: Path, value: bytes, owner: tuple[int, int] | None) -> None:
    """A mark of two numbers is the owner; whatever else a step writes there is not."""
    (tmp_path / "f").touch()
    os.setxattr(tmp_path / "f", OWNER_XATTR, value)
    entry = looked_at(tmp_path, "f")
    assert (entry.uid, entry.gid) == (owner or (os.getuid(), os.getgid()))
    assert entry.xattrs == ()


def test_opaque(tmp_path: Path) -> None:
    """Only overlay's own mark makes a directory opaque, and only with the value `y`."""
    fd = os.open(tmp_path, os.O_PATH)
    try:
        os.setxattr(tmp_path, "user.fuseoverlayfs.opaque", b"y")
        assert not is_opaque(fd, b"")
        os.setxattr(tmp_path, OVERLAY_OPAQUE, b"n")
        assert not is_opaque(fd, b"")
        os.setxattr(tmp_path, OVERLAY_OPAQUE, b"y")
        assert is_opaque(fd, b"")
    finally:
        os.close(fd)


def test_image_xattrs() -> None:
    """Attributes of users and file capabilities are the image's; labels, ACLs and marks are this machine's."""
    names = ["user.a", "security.capability", "security.selinux", "system.posix_acl_access", "user.overlay.opaque",
             "user.fuseoverlayfs.origin", OWNER_XATTR, "trusted.overlay.opaque"]  # fmt: skip
    assert [name for name in names if is_image_xattr(name)] == ["user.a", "security.capability"]


def test_length() -> None:
    """A path that nobody can open is an error with its length."""
    assert checked_length(b"x" * MAX_PATH_BYTES)
    with pytest.raises(ImageError, match="4001 bytes"):
        checked_length(b"x" * 4001)


def _capability_and_whiteout(directory: Path) -> list[object]:
    (directory / "f").touch()
    value = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw, version 2
    os.setxattr(directory / "f", "security.capability", value)
    os.mknod(directory / "w", 0o020000, 0)
    fd = os.open(directory, os.O_PATH)
    found = dict(entry_at(fd, b"f", lstat_at(fd, b"f")).xattrs)
    marks = [is_whiteout(lstat_at(fd, b"w")), is_whiteout(lstat_at(fd, b"f"))]
    os.close(fd)
    return [found["security.capability"] == value, marks]


@pytest.mark.kernel
def test_capabilities_read_as_version_2(tmp_path: Path) -> None:
    """A file capability set in the namespace reads as it was set; 0:0 is a whiteout."""
    assert inside.run(_capability_and_whiteout, tmp_path) == [True, [True, False]]
