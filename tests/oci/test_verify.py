"""Bytes against what was announced of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import ImageError, StoreError
from builder.oci.source import ignore_progress
from builder.oci.verify import chunks_of, new_file, open_regular, verified_bytes, write_verified
from builder.values.digest import Digest
from builder.values.image import MEDIA_LAYER, Descriptor

DATA = b"some bytes"
BLOB = Descriptor(MEDIA_LAYER, Digest.of(DATA), len(DATA))


def test_a_whole_blob_is_written(tmp_path: Path) -> None:
    """The file holds the bytes, and progress was told of each piece."""
    seen: list[int] = []
    write_verified(BLOB, [DATA[:4], DATA[4:]], tmp_path / "blob", seen.append)
    assert (tmp_path / "blob").read_bytes() == DATA
    assert seen == [4, 10]


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([DATA[:5]], "truncated: 5 of 10 bytes"),
        ([], "truncated: 0 of 10 bytes"),
        ([DATA[::-1]], f"is damaged: what arrived is {Digest.of(DATA[::-1])}"),
        ([DATA, b"x"], "more than the 10 bytes announced"),
    ],
)
def test_a_damaged_blob_leaves_no_file(tmp_path: Path, chunks: list[bytes], words: str) -> None:
    """Too short, too long or different: one sentence with the digest, and nothing under the name."""
    with pytest.raises(ImageError, match=words) as caught:
        write_verified(BLOB, chunks, tmp_path / "blob", ignore_progress)
    assert str(BLOB.digest) in caught.value.message
    assert os.listdir(tmp_path) == []


def test_reading_stops_at_the_announced_size() -> None:
    """Of a body without end no more is taken than the first piece beyond the size."""
    taken = 0

    def forever() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"abcd"

    with pytest.raises(ImageError, match="more than the 10 bytes"):
        verified_bytes(BLOB, forever())
    assert taken == 3


def test_a_document_announced_as_huge_is_not_read() -> None:
    """The announced size alone is enough to refuse it."""

    def never() -> Iterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    with pytest.raises(ImageError, match=r"over 8 MiB .* refused"):
        verified_bytes(Descriptor(MEDIA_LAYER, BLOB.digest, 50 << 20), never())


def test_a_full_disk_is_a_store_error(tmp_path: Path) -> None:
    """ENOSPC has its own sentence, also when it only shows as the file is closed."""
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(StoreError, match="no space left") as caught, new_file(tmp_path / "full") as file:
        file.write(b"x")
    assert caught.value.hint is not None


def test_a_file_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    """A missing directory is named."""
    with pytest.raises(StoreError, match="cannot write"), new_file(tmp_path / "no" / "file"):
        pass


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A fifo would be waited for, a device has no end: both are refused at once."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path):
        with pytest.raises(ImageError, match="not a regular file"):
            open_regular(path, "it")
    with pytest.raises(ImageError, match="does not exist"):
        open_regular(tmp_path / "none", "it")


def test_chunks_respect_a_limit(tmp_path: Path) -> None:
    """No more than the limit is read."""
    (tmp_path / "f").write_bytes(DATA)
    with open_regular(tmp_path / "f", "it") as file:
        assert b"".join(chunks_of(file, 4)) == DATA[:4]
        assert b"".join(chunks_of(file)) == DATA[4:]
