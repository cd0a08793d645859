"""Files of an output put in place."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from builder.errors import StoreError
from builder.oci.place import copy_range, place_blob, replace_file, write_whole
from builder.values.digest import Digest
from builder.values.image import MEDIA_LAYER, Descriptor

DATA = b"bytes of a blob" * 1000
BLOB = Descriptor(MEDIA_LAYER, Digest.of(DATA), len(DATA))


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """The new content stands under the name and no temporary file is left."""
    (tmp_path / "f").write_bytes(b"old")
    replace_file(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["f"]


def test_a_file_under_way_has_no_name(tmp_path: Path) -> None:
    """Nothing is beside the old file while the new one is written, so a process that is killed leaves nothing."""
    (tmp_path / "f").write_bytes(b"old")

    def write(out: BinaryIO) -> None:
        out.write(b"new" * 100_000)
        out.flush()
        assert os.listdir(tmp_path) == ["f"]
        assert (tmp_path / "f").read_bytes() == b"old"

    write_whole(tmp_path / "f", write)
    assert (tmp_path / "f").read_bytes() == b"new" * 100_000
    assert os.listdir(tmp_path) == ["f"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    """Whatever goes wrong while it is written, what was there stays, and nothing else is."""
    (tmp_path / "f").write_bytes(b"old")

    def fail(_: BinaryIO) -> None:
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        write_whole(tmp_path / "f", fail)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"f": b"old"}


def test_a_blob_is_placed_and_nothing_else(tmp_path: Path) -> None:
    """However it got there (shared, linked or copied), its bytes are there, once, under its name."""
    (tmp_path / "source").write_bytes(DATA)
    (tmp_path / "out").mkdir()
    for _ in range(2):
        place_blob(tmp_path / "source", tmp_path / "out" / "blob", BLOB)
    assert (tmp_path / "out" / "blob").read_bytes() == DATA
    assert os.listdir(tmp_path / "out") == ["blob"]


def test_a_blob_crosses_file_systems(tmp_path: Path) -> None:
    """Where it can be neither shared nor linked it is copied."""
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    source = shm / f"pybuild-test-{os.getpid()}"
    source.write_bytes(DATA)
    try:
        place_blob(source, tmp_path / "blob", BLOB)
    finally:
        source.unlink()
    assert (tmp_path / "blob").read_bytes() == DATA


def test_a_half_written_blob_is_replaced(tmp_path: Path) -> None:
    """One of the wrong size was left by somebody who was interrupted."""
    (tmp_path / "source").write_bytes(DATA)
    (tmp_path / "blob").write_bytes(DATA[:10])
    place_blob(tmp_path / "source", tmp_path / "blob", BLOB)
    assert (tmp_path / "blob").read_bytes() == DATA


def test_a_damaged_or_missing_source_is_a_store_error(tmp_path: Path) -> None:
    """Nothing is placed that has not the announced size."""
    with pytest.raises(StoreError, match="missing in the store"):
        place_blob(tmp_path / "source", tmp_path / "blob", BLOB)
    (tmp_path / "source").write_bytes(DATA[:-1])
    with pytest.raises(StoreError, match="damaged in the store"):
        place_blob(tmp_path / "source", tmp_path / "blob", BLOB)
    assert os.listdir(tmp_path) == ["source"]


def test_what_the_kernel_cannot_copy_is_read_and_written(tmp_path: Path) -> None:
    """copy_file_range refuses pipes; the bytes arrive all the same."""
    reading, writing = os.pipe()
    os.write(writing, b"through a pipe")
    os.close(writing)
    with open(tmp_path / "out", "wb", buffering=0) as out:
        copy_range(reading, out.fileno())
    os.close(reading)
    assert (tmp_path / "out").read_bytes() == b"through a pipe"
