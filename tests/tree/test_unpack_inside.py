"""Unpacking as root of a user namespace: owners, capabilities, and what a real overlay makes of the result."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from builder.errors import ImageError
from builder.kernel.constants import CLONE_NEWUSER
from builder.kernel.syscalls import unshare
from builder.tree.diff import changes
from builder.tree.index import read_index
from builder.tree.inode import OWNER_XATTR
from builder.tree.pack import pack_layer
from builder.tree.unpack import perform
from builder.values.crossing import UnpackJob
from builder.values.image import MEDIA_LAYER
from tests.tree import inside, operations
from tests.tree.rawtar import DIR, END, FIFO, SYMLINK, directory, file, hard_link, header, pax, symlink, unpack
from tests.tree.trees import describe, overlay

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # as conformance's COPY --from case has it
Operations = list[tuple[str, str, str]]


def _owned(where: Path) -> list[object]:
    tar = b"".join(
        (
            header(b"d", DIR, mode=0o2750, uid=0, gid=8),
            header(b"d/f", mode=0o6755, uid=33, gid=34, size=3) + b"abc".ljust(512, b"\0"),
            header(b"l", SYMLINK, uid=5, gid=6, link=b"d"),
            header(b"p", FIFO, mode=0o4622, uid=7, gid=8),
            pax([(b"SCHILY.xattr.security.capability", CAPABILITY)]) + header(b"cap", uid=1000, gid=65534, mode=0o755),
        )
    )
    root = unpack(where, tar + END)
    status = [(root / name).lstat() for name in ("d", "d/f", "l", "p", "cap")]
    owners = [[each.st_uid, each.st_gid, oct(each.st_mode & 0o7777)] for each in status]
    return [*owners, os.getxattr(root / "cap", "security.capability").hex()]


@pytest.mark.kernel
def test_owners(tmp_path: Path) -> None:
    """With a range of ids everything gets its owner, special bits and file capabilities."""
    assert inside.run(_owned, tmp_path) == [
        [0, 8, "0o2750"], [33, 34, "0o6755"], [5, 6, "0o777"], [7, 8, "0o4622"], [1000, 65534, "0o755"],
        CAPABILITY.hex()]  # fmt: skip


def _out_of_range(where: Path) -> list[str | None]:
    try:
        unpack(where, header(b"f", uid=0, gid=0) + header(b"g", uid=7, gid=1_000_000) + END)
    except ImageError as error:
        return [error.message, error.hint]
    return []


@pytest.mark.kernel
def test_owner_out_of_range(tmp_path: Path) -> None:
    """An owner beyond the range is an error that names the id and the range that would do."""
    message, hint = inside.run(_out_of_range, tmp_path)
    assert re.fullmatch(r"g belongs to group 1000000, and only ids up to 6553\d are there", message)
    assert hint.startswith("a range of 1000000 ids in /etc/subgid would do")


def _single(where: Path) -> list[object]:
    tar = b"".join(
        (
            header(b"d", DIR, mode=0o500, uid=33, gid=34),
            header(b"d/f", mode=0o4444, uid=(2**31 | 1 << 63).to_bytes(8, "big"), gid=0),
            header(b"l", SYMLINK, uid=5, gid=6, link=b"d"),
            header(b"mine", uid=0, gid=0),
            pax([(b"SCHILY.xattr.security.capability", CAPABILITY)]) + header(b"cap", uid=0, gid=0),
        )
    )
    lower = unpack(where, tar + END)
    root = unpack(where, header(b"d/g", uid=0, gid=0) + hard_link(b"h", b"d/f") + END, lower, name="upper")
    found = [os.getxattr(lower / name, OWNER_XATTR).decode() for name in ("d", "d/f")]
    found += [os.getxattr(root / name, OWNER_XATTR).decode() for name in ("d", "h")]
    found += [oct((root / name).stat().st_mode & 0o7777) for name in ("d", "h")]
    return [*found, os.listxattr(lower / "mine"), os.getxattr(lower / "cap", "security.capability").hex()]


@pytest.mark.kernel
def test_single_id(tmp_path: Path) -> None:
    """With a single id the owners are remembered in an attribute, and handed on where things are copied up."""
    found = inside.run(_in_single, tmp_path)
    assert found == ["33:34", "2147483648:0", "33:34", "2147483648:0", "0o500", "0o4444", [], CAPABILITY.hex()]


def _in_single(where: Path) -> list[object]:
    """A user namespace with one id, inside of the one with a range."""
    unshare(CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
        Path("/proc/self", name).write_text(text)
    return _single(where)


def _stacked(where: Path) -> list[object]:
    below = [
        directory(b"keep") + file(b"keep/a", b"1") + file(b"keep/gone") + directory(b"old") + file(b"old/x"),
        directory(b"run") + symlink(b"link", b"run"),
        file(b"was-file") + directory(b"was-dir") + file(b"was-dir/x"),
    ]
    bottom = unpack(where, b"".join(below) + END, name="bottom")
    above = [
        file(b"keep/.wh.gone") + file(b"keep/b", b"2") + file(b"old/.wh..wh..opq") + file(b"old/new"),
        file(b"link/pid") + directory(b"was-file") + file(b"was-file/in") + file(b"was-dir"),
        hard_link(b"also", b"keep/a"),
    ]
    top = unpack(where, b"".join(above) + END, bottom, name="top")
    with overlay(where, [top, bottom], where / "look") as merged:
        return [sorted(describe(merged)), (merged / "also").read_text()]


@pytest.mark.kernel
def test_in_a_real_overlay(tmp_path: Path) -> None:
    """The kernel's overlay reads our whiteouts, opaque marks and replaced kinds as they are meant."""
    names, text = inside.run(_stacked, tmp_path)
    assert names == sorted(
        [
            "also",
            "keep",
            "keep/a",
            "keep/b",
            "link",
            "old",
            "old/new",
            "run",
            "run/pid",
            "was-dir",
            "was-file",
            "was-file/in",
        ]
    )
    assert text == "1"


def _round_trips(directory_: Path) -> None:
    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(operations.operations, operations.operations)
    def law(base: Operations, step: Operations) -> None:
        where = Path(tempfile.mkdtemp(dir=directory_))
        empty, upper, second = where / "empty", where / "upper", where / "second"
        empty.mkdir()
        with overlay(where, [empty], upper) as merged:
            operations.perform(merged, base)
        with overlay(where, [upper, empty], second) as merged:
            operations.perform(merged, step)
            expected = describe(merged)
        lower = _repacked(where, upper, (), "one")
        top = _repacked(where, second, (upper,), "two", lower)
        with overlay(where, [top, lower], where / "look") as merged:
            assert describe(merged) == expected

    law()


def _repacked(where: Path, upper: Path, below: tuple[Path, ...], name: str, *lowers: Path) -> Path:
    """What a step left in `upper` over `below`, packed as a layer and unpacked over `lowers`."""
    items = changes(str(upper), tuple(str(each) for each in below))
    packed = pack_layer(items, where / f"{name}.tar", where / f"{name}.packed", "none", -1)
    texts = tuple(str(each) for each in lowers)
    one = UnpackJob(
        str(where / f"{name}.tar"),
        MEDIA_LAYER,
        str(packed.diff_id),
        texts,
        str(where / name),
        str(where / f"{name}.index"),
    )
    assert perform(one).entries == packed.entries
    assert read_index(where / f"{name}.index") == read_index(where / f"{name}.packed")
    return where / name


@pytest.mark.kernel
def test_pack_then_unpack(tmp_path: Path) -> None:
    """What steps do to a tree, packed as layers and unpacked again, is that tree in every way."""
    inside.run(_round_trips, tmp_path)
