"""OCI layouts in one tar file."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import ImageError, StoreError
from builder.oci.archive import ArchiveSource, write_archive
from builder.oci.source import ignore_progress
from builder.values.digest import Digest
from builder.values.reference import Reference
from tests.oci.images import AMD64, Sample, sample

NAMES = (Reference.parse("app:1"),)


@pytest.fixture
def made() -> Sample:
    """An image of three layers."""
    return sample()


@pytest.fixture
def blob_path(tmp_path: Path, made: Sample) -> Callable[[Digest], Path]:
    """Where its blobs are."""
    made.write_blobs(tmp_path / "blobs")
    return lambda digest: tmp_path / "blobs" / digest.hex


def test_what_is_written_reads_back(tmp_path: Path, made: Sample, blob_path: Callable[[Digest], Path]) -> None:
    """By tag, full name or as the only image; plain or compressed."""
    archive = tmp_path / "a.tar"
    write_archive(archive, made.image, blob_path, NAMES)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(archive.read_bytes()))
    for path, tag in ((archive, "1"), (archive, "docker.io/library/app:1"), (tmp_path / "a.tar.gz", None)):
        source = ArchiveSource(path, tag)
        assert source.load(AMD64) == made.image
        for number, layer in enumerate(made.image.layers):
            source.fetch(layer.descriptor, tmp_path / "out", ignore_progress)
            assert (tmp_path / "out").read_bytes() == made.layer_bytes(number)


def test_the_same_image_gives_the_same_bytes(tmp_path: Path, made: Sample, blob_path: Callable[[Digest], Path]) -> None:
    """To a file or a stream, at any time, whatever the umask: one and the same archive."""
    stream = io.BytesIO()
    write_archive(stream, made.image, blob_path, NAMES)
    before = os.umask(0o077)
    try:
        write_archive(tmp_path / "a.tar", made.image, blob_path, NAMES)
    finally:
        os.umask(before)
    assert (tmp_path / "a.tar").read_bytes() == stream.getvalue()


def test_members_are_plain(made: Sample, blob_path: Callable[[Digest], Path]) -> None:
    """Owner 0, no time, no names; the small files first."""
    stream = io.BytesIO()
    write_archive(stream, made.image, blob_path, NAMES)
    stream.seek(0)
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        members = archive.getmembers()
    assert [member.name for member in members[:4]] == ["blobs", "blobs/sha256", "oci-layout", "index.json"]
    assert len(members) == 4 + len(made.blobs)
    assert {(member.uid, member.gid, member.mtime, member.uname) for member in members} == {(0, 0, 0, "")}


def test_a_failure_leaves_the_old_file(tmp_path: Path, made: Sample, blob_path: Callable[[Digest], Path]) -> None:
    """An archive is replaced when the new one is whole, and no temporary file stays."""
    (tmp_path / "a.tar").write_bytes(b"old")
    layer = made.image.layers[2].descriptor
    for damage in (b"", made.layer_bytes(2) + b"x", None):
        blob_path(layer.digest).unlink()
        if damage is not None:
            blob_path(layer.digest).write_bytes(damage)
        with pytest.raises(StoreError, match=f"blob {layer.digest} is (damaged|missing)"):
            write_archive(tmp_path / "a.tar", made.image, blob_path, NAMES)
    assert (tmp_path / "a.tar").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "blobs"]


def test_a_destination_that_cannot_be_written_is_a_store_error(
    tmp_path: Path, made: Sample, blob_path: Callable[[Digest], Path]
) -> None:
    """A file where a directory should be is named."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot write"):
        write_archive(tmp_path / "file" / "a.tar", made.image, blob_path, NAMES)


def test_what_is_no_oci_archive_is_explained(tmp_path: Path) -> None:
    """A missing file, and a docker archive under the wrong transport."""
    with pytest.raises(ImageError, match="does not exist"):
        ArchiveSource(tmp_path / "none", None).load(AMD64)
    with tarfile.open(tmp_path / "docker.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("manifest.json"))
    with pytest.raises(ImageError, match="oci-layout is not in it") as caught:
        ArchiveSource(tmp_path / "docker.tar", None).load(AMD64)
    assert caught.value.hint == f"it looks like a docker archive: docker-archive:{tmp_path}/docker.tar"
