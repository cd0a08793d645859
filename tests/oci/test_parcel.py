"""Files of blobs as bodies of requests."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import ImageError
from builder.oci.body import Body, Repeat
from builder.oci.parcel import Parcel
from builder.oci.source import ignore_progress
from builder.values.digest import Digest
from builder.values.image import MEDIA_LAYER, Descriptor

DATA = bytes(range(256)) * 20


def parcel(path: Path, data: bytes = DATA) -> Parcel:
    """The blob of these bytes, which are not written anywhere."""
    return Parcel(path, Descriptor(MEDIA_LAYER, Digest.of(data), len(data)), ignore_progress)


def read(body: Body) -> bytes:
    """All of a body."""
    with body.open() as stream:
        return stream.read()


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6))
def test_parts_make_up_the_whole(data: bytes, cuts: list[int]) -> None:
    """However it is cut, and whatever is read twice, the parts are the blob's bytes and their check succeeds."""
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    with tempfile.TemporaryDirectory() as room:
        path = Path(room, "blob")
        path.write_bytes(data)
        sent = parcel(path, data)
        pairs = list(itertools.pairwise(edges))
        assert b"".join(read(sent.part(start, end)) for start, end in pairs) == data
        for start, end in reversed(pairs):
            assert read(sent.part(start, end)) == data[start:end]


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255), st.integers(0, len(DATA) - 1))
def test_a_changed_byte_keeps_the_last_part_back(at: int, change: int, start: int) -> None:
    """Wherever it is, also in front of the part that is sent: the end of the blob is never given."""
    with tempfile.TemporaryDirectory() as room:
        path = Path(room, "blob")
        path.write_bytes(DATA[:at] + bytes([DATA[at] ^ change]) + DATA[at + 1 :])
        with pytest.raises(ImageError, match="is damaged on the disk and was not sent"):
            read(parcel(path).part(start, len(DATA)))


@pytest.mark.parametrize("data", [DATA + b"x", DATA[:-1], b""])
def test_another_size_is_seen_at_once(tmp_path: Path, data: bytes) -> None:
    """Nothing of it is read."""
    (tmp_path / "blob").write_bytes(data)
    with pytest.raises(ImageError, match="is damaged on the disk"):
        parcel(tmp_path / "blob").part(0, 10).open()


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    """With its path."""
    with pytest.raises(ImageError, match=f"is missing: {tmp_path}/none does not exist"):
        parcel(tmp_path / "none").part(0, 10).open()


def test_a_file_that_shrinks_while_it_is_sent(tmp_path: Path) -> None:
    """The request fails: it is no broken connection, and nobody waits for more."""
    data = bytes(3 << 20)
    (tmp_path / "blob").write_bytes(data)
    with parcel(tmp_path / "blob", data).part(0, len(data)).open() as stream:
        stream.read(10)
        (tmp_path / "blob").write_bytes(b"")
        with pytest.raises(ImageError, match="is damaged on the disk"):
            stream.read()


def test_a_part_is_not_sent_again_unasked(tmp_path: Path) -> None:
    """The other side may have kept some of it."""
    assert parcel(tmp_path / "blob").part(0, 1).repeat is Repeat.NEVER
