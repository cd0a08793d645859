"""Walking a build context."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.errors import ContextError
from builder.tree.safe import Root, WrongKind
from builder.tree.scan import EVERYTHING, OpenFiles, Scanned, find_source, list_directory, open_context, scan
from builder.values.entry import Kind


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Root]:
    """The handle of an empty context in tmp_path."""
    with open_context(tmp_path) as root:
        yield root


class _Ignoring:
    """Rules for tests: what these functions say."""

    def __init__(
        self, excluded: Callable[[str], bool], readmitted: Callable[[str], bool] = EVERYTHING.excludes
    ) -> None:
        self._excluded = excluded
        self._readmitted = readmitted
        self.asked: list[str] = []

    def excludes(self, path: str) -> bool:
        self.asked.append(path)
        return self._excluded(path)

    def may_readmit_below(self, directory: str) -> bool:
        return self._readmitted(directory)


def _paths(found: Iterator[Scanned]) -> list[bytes]:
    return [scanned.entry.path for scanned in found]


def _make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_text(name)


def test_walk_is_sorted_and_depth_first(context: Root, tmp_path: Path) -> None:
    """A directory comes before what is in it, names in byte order, whatever order the disk has."""
    _make(tmp_path, "b", "a-", "a/z", "a/b/c", "a/é", "empty/")
    expected = [b"", b"a", b"a/b", b"a/b/c", b"a/z", "a/é".encode(), b"a-", b"b", b"empty"]
    assert _paths(scan(context)) == expected


def test_entries_say_what_things_are(context: Root, tmp_path: Path) -> None:
    """Kinds, modes, sizes, times and link targets are the files'; owners are 0:0."""
    _make(tmp_path, "f")
    os.chmod(tmp_path / "f", 0o4751)
    os.utime(tmp_path / "f", ns=(1, 1_234_567_891))
    os.symlink("/etc/passwd", tmp_path / "l")
    os.mkfifo(tmp_path / "p")
    found = {scanned.entry.path: scanned for scanned in scan(context)}
    file = found[b"f"]
    assert file.entry[:7] == (b"f", Kind.FILE, 0o4751, 0, 0, 1, 1_234_567_891)
    facts = os.stat(tmp_path / "f")
    assert (file.mtime_ns, file.ctime_ns, file.inode, file.device) == (
        1_234_567_891,
        facts.st_ctime_ns,
        facts.st_ino,
        facts.st_dev,
    )
    assert (found[b"l"].entry.kind, found[b"l"].entry.link, found[b"l"].entry.size) == (
        Kind.SYMLINK,
        b"/etc/passwd",
        0,
    )
    assert found[b"p"].entry.kind is Kind.FIFO
    assert found[b""].entry.kind is Kind.DIR


def test_sockets_are_left_out(context: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Unix socket in the context is not part of it."""
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("s")
        assert _paths(scan(context)) == [b""]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make device nodes")
def test_devices_are_named_and_never_opened(context: Root, tmp_path: Path) -> None:
    """A device node is told by its numbers alone."""
    os.mknod(tmp_path / "null", 0o020666, os.makedev(1, 3))
    (_, found) = scan(context)
    assert (found.entry.kind, found.entry.rdev) == (Kind.CHAR, (1, 3))


def test_names_that_are_not_utf8(context: Root, tmp_path: Path) -> None:
    """Names are bytes; rules see the odd ones as surrogates."""
    (tmp_path / os.fsdecode(b"\xff\xfe")).write_bytes(b"")
    rules = _Ignoring(EVERYTHING.excludes)
    assert _paths(scan(context, rules=rules)) == [b"", b"\xff\xfe"]
    assert rules.asked == ["\udcff\udcfe"]


def test_start_below_the_root(context: Root, tmp_path: Path) -> None:
    """A walk can begin at any directory or file; paths count from the context."""
    _make(tmp_path, "a/b/c", "a/d", "x")
    assert _paths(scan(context, b"a")) == [b"a", b"a/b", b"a/b/c", b"a/d"]
    assert _paths(scan(context, b"a/d")) == [b"a/d"]


def test_missing_start_is_plain(context: Root) -> None:
    """A start that is not there is a ContextError."""
    with pytest.raises(ContextError, match="nothing is not in the build context"):
        list(scan(context, b"nothing"))


def test_excluded_directories_are_not_entered(context: Root, tmp_path: Path) -> None:
    """What is excluded is not given, and an excluded directory is not even opened."""
    _make(tmp_path, "keep/f", "drop/f", "keep/drop")
    os.chmod(tmp_path / "drop", 0)
    rules = _Ignoring(lambda path: path.rpartition("/")[2] == "drop")
    assert _paths(scan(context, rules=rules)) == [b"", b"keep", b"keep/f"]
    assert "drop/f" not in rules.asked
    os.chmod(tmp_path / "drop", 0o755)


def test_readmitted_files_bring_their_directories(context: Root, tmp_path: Path) -> None:
    """An excluded directory is given before the first thing below it that is let in again, and only then."""
    _make(tmp_path, "d/e/keep", "d/e/not", "d/f/not", "d/keep", "z/not", "y")
    rules = _Ignoring(lambda path: path != "y" and not path.endswith("keep"), bool)
    assert _paths(scan(context, rules=rules)) == [b"", b"d", b"d/e", b"d/e/keep", b"d/keep", b"y"]


def test_links_are_not_followed(context: Root, tmp_path: Path) -> None:
    """A link to a directory is a link, even one that leads to its own parent."""
    _make(tmp_path, "d/f")
    os.symlink(".", tmp_path / "d" / "loop")
    os.symlink("/", tmp_path / "out")
    assert _paths(scan(context)) == [b"", b"d", b"d/f", b"d/loop", b"out"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everywhere")
def test_unreadable_directory_is_plain(context: Root, tmp_path: Path) -> None:
    """A directory that may not be read is a ContextError with its path and a hint."""
    _make(tmp_path, "d/e/f")
    os.chmod(tmp_path / "d" / "e", 0)
    with pytest.raises(ContextError, match="cannot read d/e of the build context: Permission denied") as caught:
        list(scan(context))
    assert caught.value.hint is not None and ".dockerignore" in caught.value.hint
    os.chmod(tmp_path / "d" / "e", 0o755)


def test_deep_trees_need_no_recursion(context: Root, tmp_path: Path) -> None:
    """More levels than Python has frames are walked."""
    paths = [f"{tmp_path}{'/d' * depth}" for depth in range(1, 1501)]
    for path in paths:
        os.mkdir(path)
    assert sum(1 for _ in scan(context)) == 1501
    for path in reversed(paths):  # pytest removes its directories by recursion
        os.rmdir(path)


def test_directory_that_becomes_a_link_is_not_followed(context: Root, tmp_path: Path) -> None:
    """When somebody swaps a directory for a link during the walk, the walk does not go where it leads."""
    _make(tmp_path, "a", "d/f", "elsewhere/secret")
    found = scan(context)
    assert [next(found).entry.path for _ in range(2)] == [b"", b"a"]
    os.rename(tmp_path / "d", tmp_path / "was-d")
    os.symlink("elsewhere", tmp_path / "d")
    assert b"d/secret" not in _paths(found)


def test_list_directory(context: Root, tmp_path: Path) -> None:
    """A directory's content by its sorted names; nothing for a file, a link or what is not there."""
    _make(tmp_path, "d/b", "d/a/x", "f")
    os.symlink("d", tmp_path / "l")
    found = list_directory(context, b"d")
    assert list(found) == [b"a", b"b"]
    assert found[b"a"].entry.path == b"d/a"
    assert list(list_directory(context, b"")) == [b"d", b"f", b"l"]
    assert list_directory(context, b"f") == list_directory(context, b"l") == list_directory(context, b"no/no") == {}


@pytest.mark.parametrize(
    ("path", "real"),
    [
        (b"", b""),
        (b".", b""),
        (b"/d/f", b"d/f"),
        (b"d/../d/./f", b"d/f"),
        (b"../../d", b"d"),
        (b"to-d/f", b"d/f"),
        (b"to-f", b"d/f"),
        (b"abs", b"d/f"),
        (b"d/up/d", b"d"),
    ],
)
def test_find_source(context: Root, tmp_path: Path, path: bytes, real: bytes) -> None:
    """One source is found through links, all counted from the context."""
    _make(tmp_path, "d/f")
    os.symlink("d", tmp_path / "to-d")
    os.symlink("to-d/f", tmp_path / "to-f")
    os.symlink("/d/f", tmp_path / "abs")
    os.symlink("../../..", tmp_path / "d" / "up")
    assert find_source(context, path) == real


@pytest.mark.parametrize("path", [b"nothing", b"f/below", b"escape", b"dangling/x"])
def test_source_that_is_not_there(context: Root, tmp_path: Path, path: bytes) -> None:
    """A source that is missing, or that a link leads out of the context, is a ContextError with a hint."""
    _make(tmp_path, "f")
    os.symlink("/etc/hostname", tmp_path / "escape")
    os.symlink("nowhere", tmp_path / "dangling")
    with pytest.raises(ContextError, match="is not in the build context") as caught:
        find_source(context, path)
    assert caught.value.hint


def test_source_in_a_loop(context: Root, tmp_path: Path) -> None:
    """A loop of links is a ContextError."""
    os.symlink("b", tmp_path / "a")
    os.symlink("a", tmp_path / "b")
    with pytest.raises(ContextError, match="too many symbolic links"):
        find_source(context, b"a")


def test_context_that_is_none(tmp_path: Path) -> None:
    """A context that is missing or a file is a ContextError."""
    _make(tmp_path, "f")
    with pytest.raises(ContextError, match="does not exist"):
        open_context(tmp_path / "nothing")
    with pytest.raises(ContextError, match="is not a directory"):
        open_context(tmp_path / "f")


def test_everything_leaves_nothing_out() -> None:
    """The rules that stand for no rules."""
    assert not EVERYTHING.excludes("x") and not EVERYTHING.may_readmit_below("x")


def test_files_are_opened_one_after_the_other(tmp_path: Path) -> None:
    """Files of several directories, in any order, each with its own content."""
    for name in ("a", "d/b", "d/e/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(name)
    with open_context(tmp_path) as root:
        files = OpenFiles(root)
        for path in (b"d/b", b"a", b"d/e/c", b"d/b"):
            with os.fdopen(files.open(path), "rb") as file:
                assert file.read() == path


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """Neither a pipe, which would make us wait, nor a link, a directory, or a file behind a link."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d/file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("d/file")
    (tmp_path / "dir").symlink_to("d")
    with open_context(tmp_path) as root:
        files = OpenFiles(root)
        for path, kind in ((b"pipe", "a named pipe"), (b"link", "a symbolic link"), (b"d", "a directory")):
            with pytest.raises(WrongKind) as caught:
                files.open(path)
            assert caught.value.kind == kind
        with pytest.raises(NotADirectoryError):
            files.open(b"dir/file")
