"""The directories of a target over lower trees: where names lead, and what is made on the way."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.tree import bounds
from builder.tree.lowers import Lowers
from builder.tree.merged import Directories
from builder.values.entry import Entry, Kind
from tests.tree.rawtar import listing


@contextmanager
def directories(where: Path, lower: Callable[[Path], None] | None = None) -> Iterator[Directories]:
    """Directories over one lower tree, which `lower` fills."""
    for name in ("lower", "target"):
        (where / name).mkdir()
    if lower:
        lower(where / "lower")
    fd = os.open(where / "target", os.O_PATH)
    with Lowers([str(where / "lower")]) as below:
        tree = Directories(fd, below.dirs)
        try:
            yield tree
        finally:
            tree.close()
            os.close(fd)


def _linked(lower: Path) -> None:
    (lower / "real" / "sub").mkdir(parents=True)
    (lower / "link").symlink_to("/real")
    (lower / "file").write_text("x")


def test_find_makes_nothing(tmp_path: Path) -> None:
    """Finding a directory follows links of lower trees and makes nothing, whether it is there or not."""
    with directories(tmp_path, _linked) as tree:
        found = tree.find(b"link/sub")
        assert (found.path, found.made, len(found.dirs)) == (b"real/sub", False, 1)
        missing = tree.find(b"link/sub/no/where")
        assert (missing.path, missing.made, missing.dirs) == (b"real/sub/no/where", False, ())
    assert listing(tmp_path / "target") == {}


def test_make_makes_only_what_is_on_the_real_path(tmp_path: Path) -> None:
    """Making a directory makes its real parents, and not what the way merely passed through."""
    with directories(tmp_path, _linked) as tree:
        assert tree.make(b"link/sub/new").path == b"real/sub/new"
        assert sorted(tree.attributes) == [b"", b"real", b"real/sub", b"real/sub/new"]
    assert listing(tmp_path / "target") == {"real": "dir", "real/sub": "dir", "real/sub/new": "dir"}


def test_make_again(tmp_path: Path) -> None:
    """The same directory is found under all its names."""
    with directories(tmp_path, _linked) as tree:
        assert tree.make(b"link/sub") is tree.make(b"real/sub") is tree.find(b"link/sub")
        assert tree.make(b"") is tree.root


def test_up_from_the_root(tmp_path: Path) -> None:
    """A link that climbs over the root ends in the root."""

    def climbing(lower: Path) -> None:
        (lower / "up").symlink_to("../../../..")

    with directories(tmp_path, climbing) as tree:
        assert tree.make(b"up/x").path == b"x"
    assert listing(tmp_path) == {"lower": "dir", "lower/up": "-> ../../../..", "target": "dir", "target/x": "dir"}


def test_through_a_file(tmp_path: Path) -> None:
    """A way through a file is refused."""
    with directories(tmp_path, _linked) as tree, pytest.raises(ImageError, match="file is a file and no directory"):
        tree.make(b"file/x")


def test_too_long(tmp_path: Path) -> None:
    """Links that add up to a path that nobody could open are refused."""

    def growing(lower: Path) -> None:
        here = os.open(lower, os.O_RDONLY)
        for name in [b"n" * 200] * 19:
            os.mkdir(name, dir_fd=here)
            here = os.open(name, os.O_RDONLY, dir_fd=here)
        (lower / "link").symlink_to(b"/".join([b"n" * 200] * 19).decode())

    with directories(tmp_path, growing) as tree:
        assert len(tree.find(b"link").path) == 3818
        with pytest.raises(ImageError, match="is longer than 4000 bytes"):
            tree.find(b"link/" + b"m" * 200)


def test_descriptors_are_few(tmp_path: Path) -> None:
    """However many directories are made, only some are kept open, and all can be used."""
    with directories(tmp_path) as tree:
        made = [tree.make(b"d%d/e" % number) for number in range(300)]
        before = len(os.listdir("/proc/self/fd"))
        for directory in made + made:
            os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=tree.fd_of(directory)))
        assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_replaced_by_a_directory(tmp_path: Path) -> None:
    """A directory in place of what this layer had there hides what lower trees have."""
    with directories(tmp_path, _linked) as tree:
        (tmp_path / "target" / "real").write_text("in the way")
        tree.add(tree.root, b"real", Entry(b"real", Kind.DIR, 0o700))
        assert tree.opaque == {b"real"}
        assert tree.find(b"real/sub").dirs == ()


def test_covered_link(tmp_path: Path) -> None:
    """When a lower tree's link is covered, names that led through it are looked at anew."""
    with directories(tmp_path, _linked) as tree:
        assert tree.find(b"link/sub").path == b"real/sub"
        tree.covered(b"link")
        os.symlink("elsewhere", tmp_path / "target" / "link")
        assert tree.find(b"link/sub").path == b"elsewhere/sub"


def test_link_in_the_target_is_never_followed_by_the_kernel(tmp_path: Path) -> None:
    """If something else exchanges a directory of the target for a link, opening it fails (CVE-2018-15664)."""
    (tmp_path / "outside").mkdir()
    with directories(tmp_path) as tree:
        directory = tree.make(b"d")
        (tmp_path / "target" / "d").rmdir()
        (tmp_path / "target" / "d").symlink_to(tmp_path / "outside")
        with pytest.raises(OSError, match=r"Too many levels|Not a directory"):
            tree.fd_of(directory)


def test_entries_below_thousands_of_directories_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few names that imply more directories than any layer has are refused before they are all made."""
    monkeypatch.setattr(bounds, "MADE_BYTES", 1 << 20)
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    directories = Directories(fd, ())
    try:
        with pytest.raises(ImageError, match="the directories that a layer has something in"):
            for number in range(100):
                directories.make(b"%d/" % number + b"d/" * 1900)
    finally:
        directories.close()
        os.close(fd)
        subprocess.run(["rm", "-rf", *map(str, tmp_path.iterdir())], check=True)  # too deep for shutil
