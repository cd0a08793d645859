"""Where archives go."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from builder.errors import StoreError
from builder.oci.sink import send_to
from builder.values.output import Stream


def text(out: Path | BinaryIO) -> None:
    """Write a little, wherever it goes."""
    if isinstance(out, Path):
        out.write_bytes(b"archive")
    else:
        out.write(b"archive")


def test_a_file_is_left_to_who_writes_it(tmp_path: Path) -> None:
    """Who can put it in place whole."""
    send_to(tmp_path / "a.tar", text)
    assert (tmp_path / "a.tar").read_bytes() == b"archive"


def test_a_stream_and_a_pipe_get_the_bytes(tmp_path: Path) -> None:
    """A descriptor that stays open, and a fifo, which no file takes the place of."""
    read, write = os.pipe()
    send_to(Stream(write), text)
    os.close(write)
    assert os.read(read, 100) == b"archive"
    os.close(read)
    os.mkfifo(tmp_path / "fifo")
    sender = threading.Thread(target=send_to, args=(tmp_path / "fifo", text))
    sender.start()
    assert (tmp_path / "fifo").read_bytes() == b"archive"
    sender.join()


def test_a_reader_that_went_away_is_one_line() -> None:
    """And so is a device that is full."""
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(StoreError, match="standard output was closed before all of the image was written"):
        send_to(Stream(write), text)
    os.close(write)
    with pytest.raises(StoreError, match="cannot write the image to /dev/full: No space left") as caught:
        send_to(Path("/dev/full"), text)
    assert caught.value.hint == "make room there"
