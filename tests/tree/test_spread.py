"""Tests for archives that become an ordinary user's files."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from builder.errors import ImageError
from builder.tree.spread import is_archive, spread
from builder.values.limits import Limits
from tests.support.limited import limited

Squeeze = Callable[[bytes], bytes]
SQUEEZES: tuple[Squeeze, ...] = (bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress)


def tar(*members: tuple[str, dict[str, object]], content: bytes = b"") -> bytes:
    """A tar of these members; `type` and the other fields are TarInfo's."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, fields in members:
            info = tarfile.TarInfo(name)
            for key, value in fields.items():
                setattr(info, key, value)
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def spread_bytes(data: bytes, directory: Path) -> Path:
    """Spread these bytes into a new directory below `directory`."""
    path = directory / "archive"
    path.write_bytes(data)
    with open(path, "rb") as raw:
        assert is_archive(raw)
        spread(raw, str(directory / "out"))
    return directory / "out"


@pytest.mark.parametrize("squeeze", SQUEEZES)
def test_compressions(tmp_path: Path, squeeze: Squeeze) -> None:
    """Any compression is known by its first bytes."""
    out = spread_bytes(squeeze(tar(("d/f", {"mode": 0o750}), content=b"x")), tmp_path)
    assert (out / "d/f").read_bytes() == b"x"
    assert stat.S_IMODE((out / "d/f").stat().st_mode) == 0o750


def test_what_is_no_archive(tmp_path: Path) -> None:
    """Text is none; an archive of nothing is one."""
    for data, expected in ((b"FROM scratch\n", False), (b"FROM scratch\n" * 100, False), (bytes(1024), True)):
        with io.BytesIO(data) as raw:
            assert is_archive(raw) is expected
            assert raw.tell() == 0
    assert list(spread_bytes(bytes(10240), tmp_path).iterdir()) == []


def test_owners_and_modes(tmp_path: Path) -> None:
    """Everything is ours and we can read it, whatever the archive says; the umask plays no part."""
    data = tar(
        ("d", {"type": tarfile.DIRTYPE, "mode": 0, "uid": 5}),
        ("d/f", {"mode": 0, "uid": 1234, "gid": 77}),
        ("w", {"mode": 0o666}),
    )
    before = os.umask(0o077)
    try:
        out = spread_bytes(data, tmp_path)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert (out / "d/f").read_bytes() == b""
    assert (out / "d/f").stat().st_uid == os.geteuid()
    assert stat.S_IMODE((out / "w").stat().st_mode) == 0o666


def test_links_and_replaced_entries(tmp_path: Path) -> None:
    """Links are as they are, hard links are one file, the last of two entries counts."""
    data = tar(
        ("a", {"mode": 0o600}),
        ("b", {"type": tarfile.LNKTYPE, "linkname": "a"}),
        ("out", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("x", {"type": tarfile.DIRTYPE}),
        ("x", {"mode": 0o600}),
        ("pipe", {"type": tarfile.FIFOTYPE}),
        ("null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
        (".wh.gone", {}),
    )
    out = spread_bytes(data, tmp_path)
    assert (out / "a").stat().st_ino == (out / "b").stat().st_ino
    assert os.readlink(out / "out") == "/etc/passwd"
    assert (out / "x").is_file()
    assert sorted(os.listdir(out)) == ["a", "b", "out", "pipe", "x"]


@pytest.mark.parametrize(
    "members",
    [
        (("../f", {}),),
        (("l", {"type": tarfile.SYMTYPE, "linkname": ".."}), ("l/f", {})),
        (("l", {"type": tarfile.SYMTYPE, "linkname": "/tmp"}), ("l/f", {})),
        (("h", {"type": tarfile.LNKTYPE, "linkname": "../archive"}),),
    ],
)
def test_ways_out(tmp_path: Path, members: tuple[tuple[str, dict[str, object]], ...]) -> None:
    """Nothing is written outside of the directory, whatever names and links say."""
    before = sorted(os.listdir(tmp_path))
    try:
        spread_bytes(tar(*members, content=b"evil"), tmp_path)
    except ImageError:
        pass
    assert sorted(os.listdir(tmp_path)) == sorted({*before, "archive", "out"})
    assert not Path("/tmp/f").exists()


def test_damage_and_size(tmp_path: Path) -> None:
    """A truncated archive and one that grows too large are errors."""
    whole = gzip.compress(tar(("f", {}), content=b"x" * 100_000))
    (tmp_path / "1").mkdir()
    with pytest.raises(ImageError):
        spread_bytes(whole[: len(whole) // 2], tmp_path / "1")
    (tmp_path / "2").mkdir()
    with limited(Limits(layer_bytes=10_000)), pytest.raises(ImageError, match="larger"):
        spread_bytes(whole, tmp_path / "2")
