"""New cache directories: whole or not at all, and copies that follow nothing."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from builder.errors import ContextError
from builder.kernel.seeds import new_directory


def _owner(mode: int = 0o755) -> tuple[int, int, int]:
    return (os.getuid(), os.getgid(), mode)


def test_empty(tmp_path: Path) -> None:
    """Without a seed the directory is empty and has its mode."""
    new_directory(str(tmp_path / "c"), None, "/", _owner(0o1777))
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o1777
    assert os.listdir(tmp_path) == ["c"]


def test_copy(tmp_path: Path) -> None:
    """Files, links, hard links, modes, times and xattrs are copied; FIFOs are left out."""
    seed = tmp_path / "seed"
    (seed / "d" / "e").mkdir(parents=True)
    (seed / "d" / "f").write_text("content")
    (seed / "d" / "f").chmod(0o4711)
    os.setxattr(seed / "d" / "f", "user.mark", b"1")
    os.utime(seed / "d" / "f", ns=(1, 2_000_000_001))
    os.link(seed / "d" / "f", seed / "d" / "e" / "hard")
    (seed / "d" / "link").symlink_to("/etc/passwd")
    os.mkfifo(seed / "d" / "pipe")
    os.utime(seed / "d" / "e", ns=(1, 3))
    new_directory(str(tmp_path / "c"), str(seed), "/d", _owner())
    copy = tmp_path / "c"
    assert sorted(os.listdir(copy)) == ["e", "f", "link"]
    found = (copy / "f").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns, found.st_nlink) == (0o4711, 2_000_000_001, 2)
    assert os.getxattr(copy / "f", "user.mark") == b"1"
    assert os.readlink(copy / "link") == "/etc/passwd"
    assert (copy / "e").stat().st_mtime_ns == 3


def test_lost_race(tmp_path: Path) -> None:
    """A cache that another step made meanwhile is kept, and ours is thrown away."""
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "theirs").write_text("")
    new_directory(str(tmp_path / "c"), None, "/", _owner())
    assert os.listdir(tmp_path / "c") == ["theirs"]
    assert os.listdir(tmp_path) == ["c"]


def test_missing_seed(tmp_path: Path) -> None:
    """A missing seed leaves nothing."""
    (tmp_path / "seed").mkdir()
    with pytest.raises(ContextError, match="/absent"):
        new_directory(str(tmp_path / "c"), str(tmp_path / "seed"), "/absent", _owner())
    assert os.listdir(tmp_path) == ["seed"]


def test_deep_tree(tmp_path: Path) -> None:
    """A tree deeper than the interpreter's stack is copied, and a failed copy of it is removed."""
    seed = tmp_path / "seed"
    seed.mkdir()
    try:
        fd = os.open(seed, os.O_RDONLY)
        for _ in range(1100):
            os.mkdir("d", dir_fd=fd)
            inner = os.open("d", os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = inner
        os.close(fd)
        new_directory(str(tmp_path / "c"), str(seed), "/", _owner())
        assert (tmp_path / "c" / "d" / "d").is_dir()
        (tmp_path / "taken").write_text("")
        with pytest.raises(NotADirectoryError):
            new_directory(str(tmp_path / "taken"), str(seed), "/", _owner())
        assert sorted(os.listdir(tmp_path)) == ["c", "seed", "taken"]
    finally:
        subprocess.run(["rm", "-rf", str(seed), str(tmp_path / "c")], check=True)  # too deep for shutil, too


def test_a_seed_that_is_no_directory(tmp_path: Path) -> None:
    """A file or a FIFO of an image is no seed of a cache, and neither is opened."""
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "file").write_text("x")
    os.mkfifo(tmp_path / "seed" / "fifo")
    for name in ("/file", "/fifo"):
        with pytest.raises(ContextError, match=f"{name}' of a cache is not a directory"):
            new_directory(str(tmp_path / "c"), str(tmp_path / "seed"), name, _owner())
    assert os.listdir(tmp_path) == ["seed"]
