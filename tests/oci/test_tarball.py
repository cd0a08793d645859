"""The ground of both kinds of archive."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.oci.tarball import Tarball, blob_name, write_tarball
from builder.values.digest import Digest
from builder.values.image import MEDIA_LAYER, Descriptor

DATA = b"a layer" * 1000
BLOB = Descriptor(MEDIA_LAYER, Digest.of(DATA), len(DATA))


def test_members_come_back_with_pythons_tarfile(tmp_path: Path) -> None:
    """A directory, a document and a blob, each with its content."""
    (tmp_path / "blob").write_bytes(DATA)

    def write(tar: Tarball) -> None:
        tar.directory("blobs")
        tar.document("index.json", b"{}")
        tar.blob(BLOB, tmp_path / "blob")
        tar.end()

    write_tarball(tmp_path / "deep" / "a.tar", write)
    with tarfile.open(tmp_path / "deep" / "a.tar") as archive:
        assert archive.getnames() == ["blobs", "index.json", blob_name(BLOB)]
        member = archive.extractfile(blob_name(BLOB))
        assert member is not None
        assert member.read() == DATA


def test_a_blob_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    """Missing, cut short, or longer than it should be."""
    for damage in (None, DATA[:-1], DATA + b"x"):
        if damage is not None:
            (tmp_path / "blob").write_bytes(damage)
        with pytest.raises(StoreError, match=f"blob {BLOB.digest} is (missing|damaged)"):
            Tarball(io.BytesIO()).blob(BLOB, tmp_path / "blob")


def test_nothing_stays_of_a_file_that_was_not_finished(tmp_path: Path) -> None:
    """Neither the name nor a temporary file."""

    def write(tar: Tarball) -> None:
        tar.document("index.json", b"{}")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tarball(tmp_path / "a.tar", write)
    assert list(tmp_path.iterdir()) == []


def test_a_blob_that_the_disk_has_changed_is_refused(tmp_path: Path) -> None:
    """One of the right size too: what leaves has its digest."""
    (tmp_path / "blob").write_bytes(DATA[::-1])
    with pytest.raises(StoreError, match=f"blob {BLOB.digest} is damaged"):
        Tarball(io.BytesIO()).blob(BLOB, tmp_path / "blob")


LARGE = bytes(range(256)) * 20_000
LARGE_BLOB = Descriptor(MEDIA_LAYER, Digest.of(LARGE), len(LARGE))


def test_a_large_blob_is_the_same_in_a_file_and_in_a_stream(tmp_path: Path) -> None:
    """The kernel copies large blobs into files: what comes before and after them stays where it belongs."""
    (tmp_path / "blob").write_bytes(LARGE)

    def write(tar: Tarball) -> None:
        tar.document("before", b"1")
        tar.blob(LARGE_BLOB, tmp_path / "blob")
        tar.document("after", b"2")
        tar.end()

    stream = io.BytesIO()
    write(Tarball(stream))
    write_tarball(tmp_path / "a.tar", write)
    assert (tmp_path / "a.tar").read_bytes() == stream.getvalue()
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert archive.getnames() == ["before", blob_name(LARGE_BLOB), "after"]


def test_a_large_blob_that_is_not_what_it_says_is_refused(tmp_path: Path) -> None:
    """Changed, cut short, or longer: also where the kernel copies it. No file appears."""
    for damage in (LARGE[::-1], LARGE[:-1], LARGE + b"x"):
        (tmp_path / "blob").write_bytes(damage)
        with pytest.raises(StoreError, match="is damaged"):
            write_tarball(tmp_path / "a.tar", lambda tar: tar.blob(LARGE_BLOB, tmp_path / "blob"))
        assert not (tmp_path / "a.tar").exists()
