"""A stack of trees looked at as one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.tree.lowers import Lowers, is_empty, listed, look, names_in
from tests.tree import inside
from tests.tree.trees import overlay, sh

SCRIPT = """
mkdir -p bottom/d/sub bottom/e bottom/gone bottom/o middle/d middle/o top/d top/over; echo 1 > bottom/over
echo 1 > bottom/d/a; echo 1 > bottom/d/b; echo 1 > bottom/gone/x; echo 1 > bottom/o/hidden; echo 1 > bottom/e/only
echo 2 > middle/d/a; echo 2 > middle/o/shown; echo 2 > middle/e
echo 3 > top/d/c; ln -s d top/link
mknod top/d/b c 0 0; mknod middle/gone c 0 0
"""


def _stack(directory: Path) -> list[Path]:
    sh(directory, SCRIPT)
    os.setxattr(directory / "middle" / "o", "user.overlay.opaque", b"y")
    return [directory / "top", directory / "middle", directory / "bottom"]


def _looks(directory: Path) -> dict[str, object]:
    stack = _stack(directory)
    found: dict[str, object] = {}
    with Lowers([str(each) for each in stack]) as below:
        number = {fd: at for at, fd in enumerate(below.dirs)}
        dirs_of = {"": below.dirs}
        for path in (
            "",
            "d",
            "d/a",
            "d/b",
            "d/c",
            "d/sub",
            "e",
            "gone",
            "o",
            "o/hidden",
            "o/shown",
            "link",
            "over",
            "no",
        ):
            seen = look(dirs_of[os.path.dirname(path)] if path else below.dirs, path.encode())
            found[path] = seen and [number[seen.fd], [number[fd] for fd in seen.dirs]]
            if seen and seen.dirs:
                dirs_of[path] = seen.dirs
        found["names"] = sorted(map(os.fsdecode, names_in(dirs_of["d"], b"d")))
        found["empty"] = [is_empty(dirs_of["d"], b"d"), is_empty(dirs_of["d/sub"], b"d/sub")]
    return found


@pytest.mark.kernel
def test_look(tmp_path: Path) -> None:
    """The uppermost inode is seen; directories merge down to an opaque one, a whiteout or something else."""
    assert inside.run(_looks, tmp_path) == {
        "": [0, [0, 1, 2]],
        "d": [0, [0, 1, 2]],
        "d/a": [1, []],
        "d/b": None,
        "d/c": [0, []],
        "d/sub": [2, [2]],
        "e": [1, []],
        "gone": None,
        "o": [1, [1]],
        "o/hidden": None,
        "o/shown": [1, []],
        "link": [0, []],
        "over": [0, [0]],
        "no": None,
        "names": ["a", "b", "c", "sub"],
        "empty": [False, True],
    }


def _beside_the_kernel(directory: Path) -> list[list[str]]:
    stack = _stack(directory)
    with overlay(directory, stack, directory / "upper") as merged:
        kernel = sorted(str(path.relative_to(merged)) for path in merged.rglob("*"))
    ours: list[str] = []
    with Lowers([str(each) for each in stack]) as below:
        waiting = [(b"", below.dirs)]
        while waiting:
            prefix, dirs = waiting.pop()
            for name in names_in(dirs, prefix.rstrip(b"/")):
                seen = look(dirs, prefix + name)
                if seen:
                    ours.append(os.fsdecode(prefix + name))
                    if seen.dirs:
                        waiting.append((prefix + name + b"/", seen.dirs))
    return [sorted(ours), kernel]


@pytest.mark.kernel
def test_agrees_with_the_kernel(tmp_path: Path) -> None:
    """We see the stack exactly as a mounted overlay shows it."""
    ours, kernel = inside.run(_beside_the_kernel, tmp_path)
    assert ours == kernel != []


def test_missing_tree(tmp_path: Path) -> None:
    """A tree that is not there is an OSError and leaks no descriptor."""
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        Lowers([str(tmp_path), str(tmp_path / "no")])
    assert len(os.listdir("/proc/self/fd")) == before


def test_listed(tmp_path: Path) -> None:
    """Names are the bytes that they are; a link is not followed."""
    for name in (b"a", b"\xff"):
        os.close(os.open(os.fsencode(tmp_path) + b"/" + name, os.O_CREAT))
    (tmp_path / "link").symlink_to(".")
    fd = os.open(tmp_path, os.O_PATH)
    try:
        assert sorted(listed(fd, b"")) == [b"a", b"link", b"\xff"]
        with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
            listed(fd, b"link")
    finally:
        os.close(fd)
