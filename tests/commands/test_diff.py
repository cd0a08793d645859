"""`pybuild diff`."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from builder.commands.app import run
from tests.commands.built import make_context
from tests.commands.callers import caller
from tests.commands.looks import json_of, lines_of, store_image
from tests.stages.builds import row
from tests.stages.looked import ABOVE, ODD


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A room whose store has app:1, and app:2 with one more layer."""
    store_image(tmp_path, "app:1", [ODD])
    store_image(tmp_path, "app:2", [ODD, ABOVE])
    return tmp_path


def test_added_changed_removed(room: Path) -> None:
    """Each path that differs is a line with what it takes; the sums are at the end."""
    assert lines_of(room, "diff", "app:1", "app:2") == [
        "D  /etc/group       20 B",
        "C  /etc/os-release        content",
        "A  /newname\\x0a      3 B",
        "A  /opt/new          3 B",
        "D  /opt/old          3 B",
        "D  /opt/older",
        "D  /opt/older/file   4 B",
        "",
        "2 added (+6 B), 1 changed, 4 removed (-27 B)",
    ]


def test_the_exit_code(room: Path) -> None:
    """The exit code is 0, and 1 for differences only where that is asked for."""
    lines_of(room, "diff", "app:1", "app:2", status=0)
    lines_of(room, "diff", "--exit-code", "app:1", "app:2", status=1)
    assert lines_of(room, "diff", "--exit-code", "app:2", "app:2", status=0) == ["no differences"]


def test_what_counts(tmp_path: Path) -> None:
    """Times count only with --times, modes and owners not with --content-only."""
    store_image(tmp_path, "a", [[row("f", "x")]])
    store_image(tmp_path, "b", [[row("f", "x", mode="0600", uid=5)]])
    assert lines_of(tmp_path, "diff", "a", "b")[0] == "C  /f    mode -rw-r--r-- to -rw-------, owner 0:0 to 5:0"
    assert lines_of(tmp_path, "diff", "--content-only", "a", "b") == ["no differences"]
    for name, time_s in (("c:1", 1_000_000), ("c:2", 2_000_000)):
        context = make_context(tmp_path / "c", "FROM scratch\nCOPY hello /\n")
        os.utime(context / "hello", (time_s, time_s))
        words = ["build", "-q", "-t", name, str(context), "--root", str(tmp_path / "store")]
        assert run(words, caller(context)) == 0
    assert lines_of(tmp_path, "diff", "c:1", "c:2") == ["no differences"]


def test_with_an_image_of_another_place(room: Path) -> None:
    """An image of the store is compared with one of a layout."""
    assert lines_of(room, "diff", "app:1", "oci:app-1") == ["no differences"]
    document = json_of(room, "diff", "oci:app-1", "app:2")
    assert document["removed"]["count"] == 4 and document["to"]["name"] == "app:2"


@pytest.mark.clients
def test_the_same_as_umoci_unpacks(room: Path) -> None:
    """What was added, removed and changed is what differs between the trees that umoci unpacks."""
    if shutil.which("umoci") is None:
        pytest.skip("umoci is not installed")
    trees = []
    for number in ("1", "2"):
        tree = room / f"tree{number}"
        image = f"{room / f'app-{number}'}:latest"
        subprocess.run(["umoci", "raw", "unpack", "--rootless", "--image", image, str(tree)], check=True)
        trees.append(tree)
    found = {_path(change["path"]): change["change"] for change in json_of(room, "diff", "app:1", "app:2")["changes"]}
    paths = [{path.relative_to(tree) for path in tree.rglob("*")} for tree in trees]
    expected = dict.fromkeys(paths[0] - paths[1], "removed") | dict.fromkeys(paths[1] - paths[0], "added")
    for path in paths[0] & paths[1]:
        one, other = (tree / path for tree in trees)
        if one.is_file() and not one.is_symlink() and not filecmp.cmp(one, other, shallow=False):
            expected[path] = "changed"
    assert found == expected


def _path(text: str) -> Path:
    return Path(text.removeprefix("/"))
