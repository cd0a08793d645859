"""Removing trees of any depth and owner, and nothing beside them."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.tree.remove import perform, remove_at, remove_tree
from builder.values.crossing import Removed, RemoveJob
from tests.tree import inside


def remove(*paths: Path) -> int:
    return perform(RemoveJob(tuple(str(path) for path in paths))).paths


def deep(top: Path, levels: int) -> None:
    """A directory `levels` deep, further than any path reaches."""
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def test_removes_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree goes with all that can be in one, and what its links point to stays."""
    outside = tmp_path / "outside"
    (outside / "d").mkdir(parents=True)
    (outside / "d" / "file").write_text("stays")
    top = tmp_path / "top"
    (top / "a" / "b" / "c").mkdir(parents=True)
    (top / "a" / "b" / "empty").mkdir()
    (top / "a" / "b" / "f").write_text("x")
    (top / "a" / "to").symlink_to(outside)
    (top / "file").symlink_to(outside / "d" / "file")
    os.link(top / "a" / "b" / "f", top / "hard")
    os.mkfifo(top / "a" / "fifo")
    (top / os.fsdecode(b"\xff\n")).mkdir()
    monkeypatch.chdir(top)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
    assert remove(top) == 1
    assert sorted(tmp_path.rglob("*")) == [outside, outside / "d", outside / "d" / "file"]


def test_deep(tmp_path: Path) -> None:
    """A tree that is deeper than a path can be, or than there are descriptors, goes too."""
    deep(tmp_path / "top", 2500)
    assert remove(tmp_path / "top") == 1
    assert list(tmp_path.iterdir()) == []


def test_wide(tmp_path: Path) -> None:
    """Directories with many full directories in them go too."""
    for number in range(300):
        (tmp_path / "top" / "middle" / str(number) / "x").mkdir(parents=True)
    assert remove(tmp_path / "top") == 1
    assert list(tmp_path.iterdir()) == []


def test_locked_directories(tmp_path: Path) -> None:
    """Directories that forbid everything to their owner are opened first."""
    (tmp_path / "top" / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "top" / "a" / "b" / "c" / "f").write_text("x")
    for path in ("a/b/c", "a/b", "a", ""):
        (tmp_path / "top" / path).chmod(0)
    assert remove(tmp_path / "top") == 1


def test_own_names_inside(tmp_path: Path) -> None:
    """Names like those that the removal gives itself are in nobody's way."""
    top = tmp_path / "top"
    (top / "x" / "y" / "z").mkdir(parents=True)
    (top / "x" / "v" / "w").mkdir(parents=True)
    (top / ".pybuild-removed-0").write_text("x")
    (top / ".pybuild-removed-1" / "full").mkdir(parents=True)
    (top / ".pybuild-removed-2").mkdir()
    assert remove(top) == 1


def test_counts_what_was_there(tmp_path: Path) -> None:
    """Files, links and trees count; what is not there is no error and does not count."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "tree").mkdir()
    some = [tmp_path / name for name in ("file", "link", "tree", "nothing", "no/where")]
    assert perform(RemoveJob(tuple(map(str, some)))) == Removed(3)


def test_link_to_a_tree(tmp_path: Path) -> None:
    """A link that is to be removed goes itself, and not what it points to."""
    (tmp_path / "tree" / "d").mkdir(parents=True)
    (tmp_path / "link").symlink_to("tree")
    assert remove(tmp_path / "link") == 1
    assert (tmp_path / "tree" / "d").is_dir()


def test_trailing_slash_and_odd_names(tmp_path: Path) -> None:
    """A path may end in a slash and need not be UTF-8; one without a name is refused."""
    odd = os.fsencode(tmp_path) + b"/\xff"
    os.makedirs(odd + b"/d")
    assert remove_tree(odd + b"/")
    for path in (b"/", b".", b"..", b"a/..", b""):
        with pytest.raises(OSError, match="is no name"):
            remove_tree(path)


def test_relative_to_a_descriptor(tmp_path: Path) -> None:
    """A name in an open directory can be removed, and it is said whether it was there."""
    (tmp_path / "d" / "x").mkdir(parents=True)
    fd = os.open(tmp_path, os.O_PATH)
    try:
        assert remove_at(fd, b"d")
        assert not remove_at(fd, b"d")
    finally:
        os.close(fd)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove anything")
def test_failure_does_not_stop_the_others(tmp_path: Path) -> None:
    """One path that cannot be removed is reported when the others are gone."""
    (tmp_path / "a").mkdir()
    with pytest.raises(StoreError, match="cannot remove /proc/self/maps"):
        remove(Path("/proc/self/maps"), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def _mounted(directory: Path) -> list[object]:
    (directory / "top" / "a" / "point").mkdir(parents=True)
    (directory / "kept").mkdir()
    (directory / "kept" / "file").write_text("x")
    (directory / "top" / "file").write_text("x")
    subprocess.run(["mount", "--bind", directory / "kept", directory / "top" / "a" / "point"], check=True)
    try:
        remove(directory / "top")
    except StoreError as error:
        return [error.hint, (directory / "kept" / "file").exists()]
    finally:
        subprocess.run(["umount", directory / "top" / "a" / "point"], check=True)
    return ["removed"]


@pytest.mark.kernel
def test_mounts_are_not_entered(tmp_path: Path) -> None:
    """What is mounted inside a tree keeps its content, even from the same file system."""
    assert inside.run(_mounted, tmp_path) == ["something is mounted inside; unmount it first", True]


def _others(directory: Path) -> list[bool]:
    for name, uid in (("a", 1), ("a/b", 65534), ("a/b/c", 1000)):
        (directory / name).mkdir()
        (directory / name / "file").write_text("x")
        os.chown(directory / name / "file", uid, uid)
    for name, uid in (("a/b/c", 1000), ("a/b", 65534), ("a", 1)):
        (directory / name).chmod(0)
        os.chown(directory / name, uid, uid)
    remove(directory / "a")
    return [(directory / "a").exists()]


@pytest.mark.kernel
def test_other_owners(tmp_path: Path) -> None:
    """Inside the namespace, trees of sub-ids go whatever their modes are."""
    assert inside.run(_others, tmp_path) == [False]
