"""A tar file as a table of its members."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.members import Members
from tests.oci.images import tar_of


def members_of(tmp_path: Path, data: bytes) -> Members:
    """The members of these bytes."""
    (tmp_path / "a.tar").write_bytes(data)
    return Members(tmp_path / "a.tar", "the archive", lambda: tmp_path / "spool")


def read(members: Members, name: str) -> bytes:
    """A member's content."""
    return b"".join(members.chunks(members.get(name)))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_members_are_read_in_any_order(tmp_path: Path, pack: type[bytes]) -> None:
    """Plain and compressed; no temporary file stays in sight; `./` in front of a name does not matter."""
    members = members_of(tmp_path, pack(tar_of({"./a": b"first", "d/b": b"x" * 3_000_000, "a2": b""})))
    assert read(members, "d/b") == b"x" * 3_000_000
    assert read(members, "a") == b"first"
    assert read(members, "./a2") == b""
    assert members.first_bytes(members.get("a"), 3) == b"fir"
    assert members.find("nope") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar"]


def linked(*links: tuple[str, bytes, str]) -> bytes:
    """A tar with the file `real` and links (name, type, target)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        real = tarfile.TarInfo("real/layer.tar")
        real.size = 4
        archive.addfile(real, io.BytesIO(b"data"))
        for name, kind, target in links:
            member = tarfile.TarInfo(name)
            member.type = kind
            member.linkname = target
            archive.addfile(member)
    return out.getvalue()


def test_links_inside_the_archive_are_followed(tmp_path: Path) -> None:
    """Old `docker save` writes a layer that is there twice as a link."""
    members = members_of(
        tmp_path,
        linked(("x/layer.tar", tarfile.SYMTYPE, "../real/layer.tar"), ("y", tarfile.LNKTYPE, "real/layer.tar")),
    )
    assert read(members, "x/layer.tar") == b"data"
    assert read(members, "y") == b"data"


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc/passwd", "loop", "missing"])
def test_links_lead_nowhere_else(tmp_path: Path, target: str) -> None:
    """A link out of the archive, or in a ring, is a member that is missing; no file of the host is looked at."""
    members = members_of(tmp_path, linked(("loop", tarfile.SYMTYPE, target)))
    assert members.find("loop") is None
    with pytest.raises(ImageError, match="the archive is incomplete: 'loop' is not in it"):
        members.get("loop")


def test_a_large_document_is_refused(tmp_path: Path) -> None:
    """A config of more than 8 MiB is not read."""
    members = members_of(tmp_path, tar_of({"manifest.json": b" " * (9 << 20)}))
    with pytest.raises(ImageError, match="over 8 MiB"):
        members.document("manifest.json")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no tar at all" * 100, "the archive cannot be read"),
        (tar_of({"a": b"x" * 10_000})[:5000], "the archive cannot be read"),
        (gzip.compress(tar_of({"a": b"x" * 10_000}), mtime=0)[:-20], "too early"),
    ],
)
def test_what_is_no_whole_tar_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    """Garbage and cut archives are an ImageError that names the archive; no temporary file stays."""
    with pytest.raises(ImageError, match=words):
        members_of(tmp_path, data)
    assert not (tmp_path / "spool").exists()
