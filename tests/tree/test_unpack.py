"""Whole layers: verified, limited, contained, and in a real overlay the tree that they say."""

from __future__ import annotations

import io
import os
import re
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.errors import ImageError, MachineError, PybuildError, StoreError
from builder.kernel.constants import CLONE_NEWUSER
from builder.kernel.syscalls import unshare
from builder.tree import unpack as module
from builder.tree.diff import changes
from builder.tree.index import index_diff_id, read_index
from builder.tree.inode import OWNER_XATTR
from builder.tree.measured import Limits
from builder.tree.pack import pack_layer
from builder.tree.tarformat import read_entries
from builder.tree.unpack import perform, unpack_layer
from builder.values.crossing import Unpacked, UnpackJob
from builder.values.digest import DiffId
from builder.values.image import MEDIA_LAYER, MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD
from tests.support.tars import compressed
from tests.tree import inside, operations
from tests.tree.rawtar import (
    BLOCK,
    CHAR,
    DIR,
    END,
    FIFO,
    LINK,
    SYMLINK,
    directory,
    file,
    hard_link,
    header,
    listing,
    pax,
    symlink,
    unpack,
)
from tests.tree.trees import describe, overlay

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # as conformance's COPY --from case has it
Operations = list[tuple[str, str, str]]


def job(where: Path, blob: bytes, tar: bytes, media_type: str = MEDIA_LAYER) -> UnpackJob:
    """A job whose blob need not be what its diff-id says."""
    (where / "blob").write_bytes(blob)
    return UnpackJob(str(where / "blob"), media_type, str(DiffId.of(tar)), (), str(where / "out"), str(where / "index"))


@pytest.mark.parametrize(
    ("how", "media_type"), [(None, MEDIA_LAYER), ("gzip", MEDIA_LAYER_GZIP), ("zstd", MEDIA_LAYER_ZSTD)]
)
def test_compressions(tmp_path: Path, how: str | None, media_type: str) -> None:
    """A layer may be plain, gzip or zstd; its diff-id is that of all uncompressed bytes, padding included."""
    tar = file(b"f", b"x" * 5000) + header(b"c", CHAR, rdev=(1, 3)) + END + bytes(8192)
    assert perform(job(tmp_path, compressed(tar, how), tar, media_type)) == Unpacked(2, devices=1)
    assert listing(tmp_path / "out") == {"f": "x" * 5000}


def test_index(tmp_path: Path) -> None:
    """The index has every entry in the layer's order with its content's place and digest, and the layer's diff-id."""
    tar = directory(b"d") + file(b"d/f", b"text") + file(b".wh.gone") + symlink(b"l", b"t") + END
    unpack(tmp_path, tar)
    found = read_index(tmp_path / "snapshot.index")
    assert [(each.path, each.kind.name) for each in found] == [
        (b"d", "DIR"), (b"d/f", "FILE"), (b"gone", "WHITEOUT"), (b"l", "SYMLINK")]  # fmt: skip
    assert found[1].digest == DiffId.of(b"text").hex
    assert tar[found[1].offset : found[1].offset + found[1].size] == b"text"
    assert index_diff_id(tmp_path / "snapshot.index") == DiffId.of(tar)


def test_index_does_not_depend_on_lower_trees(tmp_path: Path) -> None:
    """The index says what the layer says: it is kept under the diff-id alone, whatever the layer is unpacked over."""
    lower = unpack(tmp_path, directory(b"run") + symlink(b"a", b"run") + END, name="lower")
    tar = file(b"a/f", b"x") + END
    unpack(tmp_path, tar, lower)
    assert [each.path for each in read_index(tmp_path / "snapshot.index")] == [b"a/f"]


def test_no_index(tmp_path: Path) -> None:
    """Without a name for it no index is written."""
    tar = file(b"f") + END
    (tmp_path / "blob").write_bytes(tar)
    assert unpack_layer(str(tmp_path / "blob"), MEDIA_LAYER, DiffId.of(tar), (), str(tmp_path / "out"), "") == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["blob", "out"]


@pytest.mark.parametrize("change", [lambda tar: tar + b"\0", lambda tar: tar[:-1], lambda tar: tar.replace(b"x", b"y")])
def test_wrong_diff_id(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    """A layer with any other bytes than its diff-id says, and be it behind its end, is refused."""
    tar = file(b"f", b"x") + END
    with pytest.raises(ImageError, match="a layer is not what its image says: its diff-id is sha256:"):
        perform(job(tmp_path, change(tar), tar))
    with pytest.raises(StoreError):
        read_index(tmp_path / "index")


@pytest.mark.parametrize("media_type", [MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD])
def test_damaged_blob(tmp_path: Path, media_type: str) -> None:
    """A blob that is cut short or damaged is an ImageError, even where only its checksum is."""
    tar = file(b"f", os.urandom(50_000)) + END
    blob = compressed(tar, media_type.rpartition("+")[2])
    for number, damaged in enumerate((blob[: len(blob) // 2], blob[:-3], blob[:20_000] + b"\xff" * 9 + blob[20_009:])):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(ImageError):
            perform(job(tmp_path / str(number), damaged, tar, media_type))


def test_unknown_media_type(tmp_path: Path) -> None:
    """A layer of an unknown kind is refused."""
    with pytest.raises(ImageError, match="media type"):
        perform(job(tmp_path, b"", b"", "application/x-rar"))


def test_what_is_missing_or_in_the_way(tmp_path: Path) -> None:
    """A blob that is not there and a target that is are errors of the store, by name."""
    one = job(tmp_path, END, END)
    (tmp_path / "out").mkdir()
    with pytest.raises(StoreError, match="out: File exists"):
        perform(one)
    (tmp_path / "blob").unlink()
    with pytest.raises(StoreError, match="blob: No such file"):
        perform(one)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    """Limits a thousandth of the real ones."""
    some = Limits(layer_bytes=20_000_000, ratio=100, free_bytes=1 << 20)
    monkeypatch.setattr(module, "DEFAULT_LIMITS", some)
    return some


def test_too_large(tmp_path: Path, limits: Limits) -> None:
    """A layer beyond the limit is refused before it fills the disk, and so is data behind its end."""
    rest = bytes(limits.layer_bytes)
    for number, tar in enumerate((header(b"f", size=len(rest)) + rest + END, END + rest)):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(ImageError, match="a layer is larger than 20000000 bytes"):
            perform(job(tmp_path / str(number), tar, tar))


def test_bomb(tmp_path: Path, limits: Limits) -> None:
    """A small blob that grows out of all proportion is refused; a small layer may do as it likes."""
    small = file(b"f", bytes(limits.free_bytes - 4096)) + END
    assert perform(job(tmp_path, compressed(small, "gzip"), small, MEDIA_LAYER_GZIP)).entries == 1
    (tmp_path / "bomb").mkdir()
    large = file(b"f", bytes(8 << 20)) + END
    with pytest.raises(ImageError, match="grows to more than 100 times its size"):
        perform(job(tmp_path / "bomb", zlib.compress(large, 9, 31), large, MEDIA_LAYER_GZIP))
    assert sum(path.stat().st_size for path in (tmp_path / "bomb" / "out").iterdir()) <= 2 << 20


def test_name_too_long_for_the_file_system(tmp_path: Path) -> None:
    """A name that no file system takes is the layer's fault, and said so."""
    tar = pax([(b"path", b"n" * 300)]) + file(b"f") + END
    with pytest.raises(ImageError, match="n… cannot be unpacked on this file system: File name too long"):
        unpack(tmp_path, tar)


def test_longest_path(tmp_path: Path) -> None:
    """A path as long as any that can be committed again is unpacked."""
    path = b"/".join([b"d" * 199] * 20)
    assert len(path) == 3999
    root = unpack(tmp_path, pax([(b"path", path)]) + file(b"f", b"deep") + END)
    here = os.open(root, os.O_RDONLY)
    for name in path.split(b"/"):
        here = os.open(name, os.O_RDONLY, dir_fd=here)
    assert os.read(here, 9) == b"deep"


_parts = st.sampled_from([b"a", b"b", b"..", b".", b"", b"canary", b"/", b".wh.a", b".wh.canary", b".wh..wh..opq"])
_paths = st.lists(_parts, min_size=1, max_size=4).map(b"/".join)
_targets = st.one_of(
    _paths, st.sampled_from([b"..", b"../..", b"/", b"../outside", b"../outside/canary", b"/proc/self/root"])
)
_hostile = st.lists(
    st.tuples(_paths, st.sampled_from([b"0", LINK, SYMLINK, DIR, FIFO, CHAR, BLOCK]), _targets), max_size=10
)


@settings(max_examples=150, deadline=None)
@given(_hostile, _hostile)
def test_containment(lower: list[tuple[bytes, bytes, bytes]], upper: list[tuple[bytes, bytes, bytes]]) -> None:
    """Whatever names, links and kinds two layers have, nothing outside of their targets is touched or read."""
    with tempfile.TemporaryDirectory() as directory_:
        where = Path(directory_)
        outside = where / "outside"
        outside.mkdir()
        (outside / "canary").write_text("canary")
        os.chmod(outside / "canary", 0o640)
        before = [path.lstat() for path in (outside, outside / "canary")]
        bottom = _try(where, lower, "lower")
        _try(where, upper, "upper", bottom)
        after = [path.lstat() for path in (outside, outside / "canary")]
        assert [_kept(each) for each in after] == [_kept(each) for each in before]
        names = {"outside", "lower", "upper", "lower.blob", "upper.blob", "lower.index", "upper.index"}
        assert {each.name for each in where.iterdir()} <= names
        for root in (where / "lower", where / "upper"):
            assert not any(
                path.is_file() and path.read_text() == "canary" for path in root.rglob("*") if not path.is_symlink()
            )


def _try(where: Path, rows: list[tuple[bytes, bytes, bytes]], name: str, *lowers: Path) -> Path:
    """Unpack as much of these rows as is not refused by itself."""
    good = b""
    for path, flag, target in rows:
        block = header(path, flag, link=target, mode=0o755)
        try:
            list(read_entries(io.BytesIO(block)))
        except (ImageError, StopIteration):
            continue
        good += block
    try:
        return unpack(where, good + END, *lowers, name=name)
    except PybuildError:
        return where / name


def _kept(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_nlink,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


# --- in a user namespace ---------------------------------------------------------------------------------------------


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


def test_no_whiteouts_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no whiteout can be made, the message says what the machine lacks."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "mknod", refuse)
    with pytest.raises(MachineError, match="does not let us mark gone as deleted"):
        unpack(tmp_path, file(b".wh.gone") + END)


def test_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is the store's error and says what did not fit."""

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", refuse)
    one = job(tmp_path, file(b"f", b"x") + END, END)
    with pytest.raises(StoreError, match="no space left for f"):
        perform(one)
