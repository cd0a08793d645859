"""Files without a name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.tree.nameless import give_name, open_nameless


def test_a_name_comes_last(tmp_path: Path) -> None:
    """Until it has one nothing is in the directory; then all of it is there."""
    handle = os.open(tmp_path, os.O_PATH)
    places: tuple[str | int, ...] = (str(tmp_path), handle)
    for number, directory in enumerate(places):
        fd = open_nameless(directory, 0o640)
        assert fd is not None
        os.write(fd, b"whole")
        assert len(os.listdir(tmp_path)) == number
        give_name(fd, f"file{number}".encode(), handle)
        os.close(fd)
        assert (tmp_path / f"file{number}").read_bytes() == b"whole"
        assert (tmp_path / f"file{number}").stat().st_mode & 0o777 == 0o640
    os.close(handle)


def test_a_name_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    """Nothing is replaced, and no link is followed."""
    (tmp_path / "link").symlink_to("elsewhere")
    fd = open_nameless(str(tmp_path), 0o600)
    assert fd is not None
    with pytest.raises(FileExistsError):
        give_name(fd, str(tmp_path / "link"))
    os.close(fd)
    assert os.listdir(tmp_path) == ["link"]


def test_a_directory_that_is_missing() -> None:
    """It is an error, as for any other file."""
    with pytest.raises(FileNotFoundError):
        open_nameless("/nonexistent/directory", 0o600)
