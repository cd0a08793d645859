"""Walking to mount points: links contained, what is missing known, what is made taken away again."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import ContextError
from builder.kernel.beneath import Located, Made, locate, make_point, mount_id, open_real, times_kept, unmake

PARTS = st.lists(st.sampled_from(["..", ".", "", "a", "b", "up", "abs", "chain", "missing"]), max_size=8)


@pytest.fixture(scope="module")
def tree() -> Iterator[tuple[Path, int]]:
    """A root among siblings: a/b is a directory, a/f a file; links lead up, to the root, and to each other."""
    with tempfile.TemporaryDirectory() as base:
        root = Path(base, "root")
        (root / "a" / "b").mkdir(parents=True)
        (root / "b").mkdir()
        (root / "a" / "f").write_text("")
        (root / "up").symlink_to("../../../../../..")
        (root / "abs").symlink_to("/a")
        (root / "a" / "chain").symlink_to("../abs/b")
        (root / "dangling").symlink_to("run/x/y")
        (root / "loop").symlink_to("loop")
        fd = os.open(root, os.O_PATH)
        yield root, fd
        os.close(fd)


@pytest.mark.parametrize(
    ("path", "names", "existing"),
    [
        ("/", (), 0),
        ("/a/b", (b"a", b"b"), 2),
        ("a//b/.", (b"a", b"b"), 2),
        ("/../../a", (b"a",), 1),
        ("/abs/b", (b"a", b"b"), 2),
        ("/a/chain", (b"a", b"b"), 2),
        ("/up/a", (b"a",), 1),
        ("/dangling", (b"run", b"x", b"y"), 0),
        ("/a/new/deep", (b"a", b"new", b"deep"), 1),
        ("/new/../a", (b"a",), 1),
        ("/new/x/../../../a/b", (b"a", b"b"), 2),
    ],
)
def test_locate(tree: tuple[Path, int], path: str, names: tuple[bytes, ...], existing: int) -> None:
    """A path leads where it would after chroot, and its missing tail is known."""
    found = locate(tree[1], path)
    assert (found.names, found.existing) == (names, existing)


@given(parts=PARTS)
def test_containment(tree: tuple[Path, int], parts: list[str]) -> None:
    """Wherever a path leads, it is inside the root, and its existing part really exists there without links."""
    try:
        found = locate(tree[1], "/".join(parts))
    except ContextError:
        return
    at = tree[0]
    for name in found.names[: found.existing]:
        at = at / os.fsdecode(name)
        assert not at.is_symlink()
    assert at.resolve().is_relative_to(tree[0].resolve())
    assert b".." not in found.names


@pytest.mark.parametrize("path", ["/a/f/x", "/loop", "/loop/x", "/a\0b", "/" + "n" * 300])
def test_refused(tree: tuple[Path, int], path: str) -> None:
    """Paths through a file, loops, NULs and names that are too long are refused in words."""
    with pytest.raises(ContextError, match="cannot mount at"):
        locate(tree[1], path)


def test_stop(tree: tuple[Path, int]) -> None:
    """A walk ends at a stop and says whether anything follows."""
    assert locate(tree[1], "/abs/b/c", {(b"a",)}) == Located((b"a",), 1, locate(tree[1], "/a").mode, nested=True)
    assert not locate(tree[1], "/abs", {(b"a",)}).nested


def test_many_links(tmp_path: Path) -> None:
    """Forty links are followed, more are a loop."""
    (tmp_path / "l0").mkdir()
    for n in range(1, 42):
        (tmp_path / f"l{n}").symlink_to(f"l{n - 1}")
    fd = os.open(tmp_path, os.O_PATH)
    assert locate(fd, "/l40").exists
    with pytest.raises(ContextError):
        locate(fd, "/l41")
    os.close(fd)


def test_make_and_unmake(tmp_path: Path) -> None:
    """What was made is taken away, and directories that were there keep their times."""
    (tmp_path / "etc").mkdir()
    os.utime(tmp_path / "etc", (1, 1))
    os.utime(tmp_path, (2, 2))
    root = os.open(tmp_path, os.O_RDONLY)
    made: list[Made] = []
    os.close(make_point(root, "/etc/x/hosts", False, made))
    os.close(make_point(root, "/etc/x", True, made))
    os.close(make_point(root, "/new", True, made))
    ours = mount_id(root)
    assert made == [
        Made(ours, (b"etc", b"x"), True),
        Made(ours, (b"etc", b"x", b"hosts"), False),
        Made(ours, (b"new",), True),
    ]
    unmake(root, made)
    assert os.listdir(tmp_path) == ["etc"]
    assert os.listdir(tmp_path / "etc") == []
    assert ((tmp_path / "etc").stat().st_mtime, tmp_path.stat().st_mtime) == (1, 2)
    os.close(root)


def test_unmake_leaves_what_was_filled(tmp_path: Path) -> None:
    """A mount point that has content, is gone, or is something else by now is left as it is."""
    root = os.open(tmp_path, os.O_RDONLY)
    made: list[Made] = []
    for name, directory in (("full", True), ("gone", True), ("written", False), ("turned", True), ("deep/x", True)):
        os.close(make_point(root, name, directory, made))
    (tmp_path / "full" / "x").write_text("")
    (tmp_path / "gone").rmdir()
    (tmp_path / "written").write_text("x")
    (tmp_path / "turned").rmdir()
    (tmp_path / "turned").symlink_to("/")
    (tmp_path / "deep" / "x").rmdir()
    (tmp_path / "deep").rmdir()
    unmake(root, made)
    assert sorted(os.listdir(tmp_path)) == ["full", "turned", "written"]
    os.close(root)


def test_kind_of_point(tmp_path: Path) -> None:
    """A directory is not mounted on a file, nor a file on a directory."""
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("")
    root = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(ContextError, match="the image has a file there"):
        make_point(root, "/f", True, [])
    with pytest.raises(ContextError, match="the image has a directory there"):
        make_point(root, "/d", False, [])
    os.close(root)


def test_open_real(tree: tuple[Path, int]) -> None:
    """Our own paths are opened without any link on the way."""
    fd = open_real(tree[1], "/a/b")
    assert stat.S_ISDIR(os.fstat(fd).st_mode)
    os.close(fd)
    for path in ("/abs", "/abs/b", "/up", "/a/../../x"):
        with pytest.raises(OSError):
            open_real(tree[1], path)


def test_times_kept(tmp_path: Path) -> None:
    """A directory keeps its times over what is done in it."""
    os.utime(tmp_path, (5, 5))
    fd = os.open(tmp_path, os.O_RDONLY)
    with times_kept(fd):
        (tmp_path / "x").mkdir()
    assert tmp_path.stat().st_mtime == 5
    os.close(fd)


def test_no_descriptor_is_left(tree: tuple[Path, int]) -> None:
    """Neither a walk that ends nor one that fails leaves a descriptor open."""
    before = len(os.listdir("/proc/self/fd"))
    for path in ("/a/b", "/a/chain", "/up/../a/f", "/a/f/x", "/loop", "/no/such"):
        try:
            locate(tree[1], path)
        except ContextError:
            pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_link_to_the_root_is_no_mount_point(tree: tuple[Path, int]) -> None:
    """Where a link leads a target to the root itself, or to what is kept for others, nothing is mounted."""
    for path in ("/up", "/a/../up/", "/abs/.."):
        with pytest.raises(ContextError, match="that is the root of the step"):
            make_point(tree[1], path, True, [])
    for path in ("/a", "/abs", "/up/a"):
        with pytest.raises(ContextError, match="that is /a of the step"):
            make_point(tree[1], path, True, [], ((b"a",),))
    os.close(make_point(tree[1], "/a/b", True, [], ((b"a",),)))


def test_a_point_that_cannot_be_made(tmp_path: Path) -> None:
    """A name that is too long, or a directory that may not be written, is told with the target."""
    tmp_path.chmod(0o555)
    fd = os.open(tmp_path, os.O_PATH)
    for path in ("/x", "/" + "n" * 300):
        with pytest.raises(ContextError, match="cannot mount at '/"):
            make_point(fd, path, True, [])
    os.close(fd)


def test_a_point_that_somebody_else_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that a parallel step makes or takes away between two calls is told as that, and not as the machine's."""
    fd = os.open(tmp_path, os.O_PATH)
    for answer in (FileExistsError, FileNotFoundError):

        def mkdir(*_: object, answer: type[OSError] = answer, **__: object) -> None:
            raise answer(1, "x")

        monkeypatch.setattr(os, "mkdir", mkdir)
        with pytest.raises(ContextError, match="something else changed it meanwhile"):
            make_point(fd, "/x/y", True, [])
    os.close(fd)
