"""Whole layers: verified, limited, contained, and in a real overlay the tree that they say."""

from __future__ import annotations

import io
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import ImageError, MachineError, PybuildError, StoreError
from builder.tree import bounds
from builder.tree.index import index_diff_id, read_index
from builder.tree.tarformat import read_entries
from builder.tree.unpack import perform, unpack_layer
from builder.values.crossing import Unpacked, UnpackJob
from builder.values.digest import DiffId
from builder.values.image import MEDIA_LAYER, MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD
from builder.values.limits import Limits
from tests.support.limited import limited
from tests.support.tars import compressed
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
    header,
    listing,
    pax,
    symlink,
    unpack,
)


def job(where: Path, blob: bytes, tar: bytes, media_type: str = MEDIA_LAYER) -> UnpackJob:
    """A job whose blob need not be what its diff-id says."""
    (where / "blob").write_bytes(blob)
    places = str(where / "out"), str(where / "index")
    return UnpackJob(str(where / "blob"), media_type, str(DiffId.of(tar)), (), *places, bounds.limits())


@pytest.mark.parametrize(
    ("how", "media_type"), [(None, MEDIA_LAYER), ("gzip", MEDIA_LAYER_GZIP), ("zstd", MEDIA_LAYER_ZSTD)]
)
def test_compressions(tmp_path: Path, how: str | None, media_type: str) -> None:
    """A layer may be plain, gzip or zstd; its diff-id is that of all uncompressed bytes, padding included."""
    tar = file(b"f", b"x" * 5000) + header(b"c", CHAR, rdev=(1, 3)) + END + bytes(8192)
    assert perform(job(tmp_path, compressed(tar, how), tar, media_type)) == Unpacked(2, devices=1, room_bytes=8192)
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


@pytest.mark.parametrize(
    "change", [lambda tar: tar + b"\0", lambda tar: tar[:-512], lambda tar: tar.replace(b"x", b"y")]
)
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
def limits() -> Iterator[Limits]:
    """Limits a thousandth of the real ones."""
    some = Limits(layer_bytes=20_000_000, ratio=100, ratio_from_bytes=1 << 20)
    with limited(some):
        yield some


def test_too_large(tmp_path: Path, limits: Limits) -> None:
    """A layer beyond the limit is refused before it fills the disk, and so is data behind its end."""
    rest = bytes(limits.layer_bytes)
    for number, tar in enumerate((header(b"f", size=len(rest)) + rest + END, END + rest)):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(ImageError, match="a layer is larger than 20000000 bytes"):
            perform(job(tmp_path / str(number), tar, tar))


def test_bomb(tmp_path: Path, limits: Limits) -> None:
    """A small blob that grows out of all proportion is refused; a small layer may do as it likes."""
    small = file(b"f", bytes(limits.ratio_from_bytes - 4096)) + END
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
