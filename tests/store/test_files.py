"""Small files, records and the system's refusals."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import StoreError
from builder.store import files


def test_full_disk_is_plain() -> None:
    """A full disk is named as such, with the file and something to do."""
    with pytest.raises(StoreError, match="keep it: no space left: /s/x") as caught, files.plain_errors("keep it"):
        raise OSError(errno.ENOSPC, "No space left on device", "/s/x")
    assert caught.value.hint is not None and "--root" in caught.value.hint


def test_quota_is_a_full_disk() -> None:
    """An exhausted quota reads like a full disk."""
    assert "no space left" in files.store_error("x", OSError(errno.EDQUOT, "Quota exceeded")).message


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOLCK, errno.EIO])
def test_refusals_have_hints(number: int) -> None:
    """Every refusal that people can meet says what to do."""
    assert files.store_error("x", OSError(number, "")).hint


def test_error_without_a_number() -> None:
    """An OSError without errno keeps its text."""
    assert "odd" in files.store_error("x", OSError("odd")).message


def test_new_files_are_private(tmp_path: Path) -> None:
    """What is written is readable by its owner alone."""
    files.write_synced(tmp_path / "f", b"abc")
    assert (tmp_path / "f").read_bytes() == b"abc"
    assert os.stat(tmp_path / "f").st_mode & 0o777 == 0o600


def test_write_never_replaces(tmp_path: Path) -> None:
    """A file that is there is not written over, nor is a link followed."""
    os.symlink(tmp_path / "elsewhere", tmp_path / "f")
    with pytest.raises(FileExistsError):
        files.write_file(tmp_path / "f", b"abc")
    assert not os.path.lexists(tmp_path / "elsewhere")


def test_bounded_read_refuses_fifos_at_once(tmp_path: Path) -> None:
    """A FIFO in place of a record neither blocks nor is read."""
    os.mkfifo(tmp_path / "f")
    with pytest.raises(ValueError, match="not a regular file"):
        files.read_bounded(tmp_path / "f", 10)


def test_bounded_read_refuses_large_files(tmp_path: Path) -> None:
    """A file past the limit is refused."""
    (tmp_path / "f").write_bytes(b"x" * 11)
    with pytest.raises(ValueError, match="larger"):
        files.read_bounded(tmp_path / "f", 10)
    assert files.read_bounded(tmp_path / "f", 11) == b"x" * 11


@given(st.binary(max_size=200))
def test_decode_gives_an_object_or_value_error(data: bytes) -> None:
    """Whatever the bytes are, reading them gives an object or a ValueError."""
    try:
        assert isinstance(files.decode(data), dict)
    except ValueError:
        pass


def test_deep_json_is_a_value_error() -> None:
    """Nesting without end is no traceback."""
    with pytest.raises(ValueError):
        files.decode(b'{"a":' + b"[" * 200_000)


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"[]", b'{"version":', b"{}", b'{"version":"1"}', b"\xff\xfe"])
def test_damaged_record_is_removed(tmp_path: Path, data: bytes) -> None:
    """A record that nobody can read is not found, and gone afterwards."""
    (tmp_path / "r").write_bytes(data)
    assert files.read_record(tmp_path / "r", 1) is None
    assert not (tmp_path / "r").exists()


def test_record_of_another_version_is_kept(tmp_path: Path) -> None:
    """A record of a newer pybuild is not found but stays for it."""
    (tmp_path / "r").write_bytes(files.encode({"version": 2}))
    assert files.read_record(tmp_path / "r", 1) is None
    assert (tmp_path / "r").exists()


def test_remove_file_forgives(tmp_path: Path) -> None:
    """Removing what is not there is no error."""
    files.remove_file(tmp_path / "nothing")
    files.sync_directory(tmp_path)


def test_a_new_name_is_one_that_nothing_has(tmp_path: Path) -> None:
    """A file is moved where nothing is, and stays where it is otherwise."""
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    assert files.give_new_name(tmp_path / "a", tmp_path / "new")
    assert not files.give_new_name(tmp_path / "b", tmp_path / "new")
    assert sorted(os.listdir(tmp_path)) == ["b", "new"] and (tmp_path / "new").read_text() == "a"
