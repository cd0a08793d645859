"""Owners, attributes, modes and times on open files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import ImageError, MachineError
from builder.tree.attributes import Owners, make_so, set_opaque
from builder.tree.inode import OWNER_XATTR
from builder.values.entry import Entry, Kind
from tests.tree import inside

ALL = (range(2**32 - 1),)
RANGE = (range(1), range(1, 65536))


def opened(path: Path, mode: int = 0o600) -> int:
    return os.open(path, os.O_CREAT | os.O_WRONLY, mode)


def test_owners_here() -> None:
    """An ordinary user can only remember owners; root has every id that its namespace maps."""
    owners = Owners.here()
    assert owners.own == (os.geteuid(), os.getegid())
    assert owners.remembers == (os.geteuid() != 0)


def _here(_: Path) -> list[object]:
    owners = Owners.here()
    return [owners.remembers, owners.own, sum(map(len, owners.uids)) > 65000, sum(map(len, owners.gids)) > 65000]


@pytest.mark.kernel
def test_owners_with_a_range(tmp_path: Path) -> None:
    """Root of a namespace with a range gives every id in it."""
    assert inside.run(_here, tmp_path) == [False, [0, 0], True, True]


@pytest.mark.parametrize(
    ("uid", "gid", "word"), [(65536, 0, "user 65536"), (0, 70000, "group 70000"), (2**32 - 2, 0, "user 4294967294")]
)
def test_out_of_range(uid: int, gid: int, word: str) -> None:
    """An owner that is not mapped is refused by its number, with a range that would do."""
    owners = Owners((0, 0), False, RANGE, RANGE)
    with pytest.raises(ImageError, match=f"a/b belongs to {word}, and only ids up to 65535 are there") as caught:
        owners.differ(Entry(b"a/b", Kind.FILE, uid=uid, gid=gid))
    assert f"a range of {max(uid, gid)} ids" in (caught.value.hint or "")


def test_single_id_takes_any_owner() -> None:
    """Where owners are only remembered, none is out of range."""
    assert Owners((0, 0), True).differ(Entry(b"f", Kind.FILE, uid=2**31))
    assert not Owners((0, 0), True).differ(Entry(b"f", Kind.FILE))


def test_make_so(tmp_path: Path) -> None:
    """Owner, attributes, mode and time are all put on, though the mode forbids writing."""
    entry = Entry(b"f", Kind.FILE, 0o4400, 7, 8, 0, -1_500_000_000, b"", (("user.a", b"1"), ("user.b", b"")))
    fd = opened(tmp_path / "f")
    make_so(fd, entry, Owners((0, 0), True), 0o600)
    status = os.fstat(fd)
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o4400, -1_500_000_000)
    names = ("user.a", "user.b", OWNER_XATTR)
    assert [os.getxattr(fd, name) for name in names] == [b"1", b"", b"7:8"]
    os.close(fd)


def test_opaque(tmp_path: Path) -> None:
    """An opaque directory has overlay's mark."""
    fd = os.open(tmp_path, os.O_RDONLY)
    set_opaque(fd, b"d")
    assert os.getxattr(fd, "user.overlay.opaque") == b"y"
    os.close(fd)


@pytest.mark.parametrize(
    ("name", "value", "kind", "words"),
    [
        ("security.capability", b"\1\2\3", (ImageError, MachineError), "of d/f"),
        ("bogus.a", b"", MachineError, "the attribute bogus.a of d/f"),
        ("user." + "n" * 300, b"", ImageError, "has a value that the kernel refuses"),
    ],
)
def test_refused_attribute(tmp_path: Path, name: str, value: bytes, kind: type[Exception], words: str) -> None:
    """An attribute that the kernel refuses is an error which names it and the file."""
    fd = opened(tmp_path / "f")
    own = (os.geteuid(), os.getegid())
    with pytest.raises(kind, match=words):
        make_so(fd, Entry(b"d/f", Kind.FILE, 0o600, *own, xattrs=((name, value),)), Owners(own, False, ALL, ALL), 0o600)
    os.close(fd)
