"""`pybuild cat`."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from builder.commands.app import run
from builder.errors import ImageError, PybuildError, UsageError
from tests.commands.callers import caller
from tests.commands.looks import bytes_of, store_image
from tests.stages.builds import row


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A room whose store has app:1."""
    store_image(tmp_path)
    return tmp_path


def test_bytes_as_they_are(tmp_path: Path) -> None:
    """What comes out is what is in the file, whatever bytes these are; an empty file is nothing."""
    data = bytes(range(256)) * 5000
    store_image(tmp_path, layers=[[{**row("data", ""), "data": data}, row("empty", "")]])
    assert bytes_of(tmp_path, "cat", "app:1:/data") == data
    assert bytes_of(tmp_path, "cat", "app:1:/empty") == b""


def test_several_files(room: Path) -> None:
    """Several files come one after the other, through links and from several images."""
    store_image(room, "app:2", [[row("x", "two\n")]])
    assert bytes_of(room, "cat", "app:1:/bin/same", "app:2:/x", "app:1:/etc/os-release") == b"tool\ntwo\nNAME=new\n"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/etc", "/etc in app:1 is a directory"),
        ("/pipe", "/pipe in app:1 is a named pipe"),
        ("/bin", "/usr/bin in app:1 is a directory"),
        ("/loop", "too many symbolic links"),
        ("/none", "there is no /none in app:1"),
    ],
)
def test_what_is_no_file(room: Path, path: str, message: str) -> None:
    """What has no content is refused, and nothing is written of what was named before it."""
    out = io.BytesIO()
    who = replace(caller(room), stdout=io.TextIOWrapper(out))
    with pytest.raises(ImageError, match=message):
        run(["cat", "app:1:/etc/passwd", f"app:1:{path}", "--root", str(room / "store")], who)
    assert out.getvalue() == b""


def test_a_path_is_needed(room: Path) -> None:
    """Without a path the hint shows how it is written."""
    with pytest.raises(UsageError) as caught:
        bytes_of(room, "cat", "app:1")
    assert caught.value.hint == "it is written IMAGE:/PATH, such as app:1:/etc/os-release"


def test_damage_is_told(room: Path) -> None:
    """A layer that the disk has damaged ends in an error, and is put aside."""
    for blob in (room / "store/blobs/sha256").iterdir():
        data = bytearray(blob.read_bytes())
        if data[:2] == b"\x1f\x8b":
            data[len(data) // 2] ^= 0xFF
            blob.chmod(0o644)
            blob.write_bytes(data)
    with pytest.raises(PybuildError, match="damaged"):
        bytes_of(room, "cat", "app:1:/etc/passwd")


def test_an_image_of_another_place(room: Path) -> None:
    """A file is had from a layout without any store."""
    assert bytes_of(room / "nowhere" / "..", "cat", f"oci:{room / 'app-1'}:/etc/os-release") == b"NAME=new\n"


def test_a_huge_file_in_little_memory(tmp_path: Path) -> None:
    """A file of 300 MB is written in bounded memory, and who has read enough may go away."""
    store_image(tmp_path, layers=[[{**row("huge", ""), "data": bytes(300 << 20)}]])
    words = [sys.executable, "-m", "builder", "cat", "app:1:/huge", "--root", str(tmp_path / "store")]

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))

    environment = {**os.environ, "HOME": str(tmp_path)}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, preexec_fn=limited, env=environment)
    assert process.stdout is not None
    count = 0
    while piece := process.stdout.read(1 << 20):
        count += len(piece)
    assert (process.wait(), count) == (0, 300 << 20)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert (process.wait(), process.stderr.read()) == (141, b"")
