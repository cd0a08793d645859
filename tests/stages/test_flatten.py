"""The files of an image, from its layers alone."""

from __future__ import annotations

import io
import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.stages.flatten import left_out, write_files_of, write_tar_of
from builder.stages.layers import Layers
from builder.store import Store
from builder.values.entry import Kind
from builder.values.image import Image
from tests.stages.builds import Bench, base, row


@pytest.fixture
def built(bench: Bench) -> Iterator[tuple[Image, Layers]]:
    """An image of a base and a layer of its own, and its layers."""
    bench.file("f", "text")
    bench.build(f"FROM {base(bench.room / 'base', [[row('d'), row('d/a', '1', uid=1000, gid=33)]])}\nCOPY f /d/f\n")
    assert bench.result is not None
    with Store.open(bench.root) as store:
        yield bench.result.image, Layers(store, bench.events.append)


def test_a_tar(built: tuple[Image, Layers]) -> None:
    """It has the merged files with their owners."""
    out = io.BytesIO()
    write_tar_of(built[0], out, built[1])
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        found = {member.name: (member.uid, member.gid) for member in tar}
    assert found == {"d": (0, 0), "d/a": (1000, 33), "d/f": (0, 0)}


def test_a_directory(built: tuple[Image, Layers], tmp_path: Path) -> None:
    """It has the same files as the caller's own."""
    assert not write_files_of(built[0], tmp_path / "out", built[1])
    assert (tmp_path / "out/d/a").read_text() == "1" and (tmp_path / "out/d/f").read_text() == "text"
    assert (tmp_path / "out/d/a").stat().st_uid == os.geteuid()


def test_a_damaged_blob_is_put_aside(bench: Bench, built: tuple[Image, Layers], tmp_path: Path) -> None:
    """A layer that the disk has damaged is said to be, and is had anew by the next build."""
    path = bench.root / "blobs/sha256" / built[0].layers[1].descriptor.digest.hex
    data = bytearray(path.read_bytes())
    data[20:60] = bytes(40)
    path.chmod(0o600)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        write_files_of(built[0], tmp_path / "out", built[1])
    assert not path.exists()


def test_a_blob_that_is_gone(bench: Bench, built: tuple[Image, Layers]) -> None:
    """It is the layer that cannot be read, not the output that cannot be written."""
    (bench.root / "blobs/sha256" / built[0].layers[1].descriptor.digest.hex).unlink()
    with pytest.raises(StoreError, match="missing from the store"):
        write_tar_of(built[0], io.BytesIO(), built[1])


def test_what_was_left_out_in_words() -> None:
    """Each kind with its number."""
    assert left_out(Counter({Kind.FIFO: 1})) == "1 named pipe"
    assert left_out(Counter({Kind.CHAR: 2, Kind.FIFO: 1})) == "2 character devices and 1 named pipe"
