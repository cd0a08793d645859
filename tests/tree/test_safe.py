"""Paths beneath a directory handle: nothing a link, a name or a race says leads out of it."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.tree.safe import Root, Walk, WrongKind, kind_word, shown

SECRET = "outside"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with all kinds of things in it, a secret beside it, and links that try to get there."""
    (tmp_path / "secret").write_text(SECRET)
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (root / "d" / "file").write_text("inside")
    (root / "secret").write_text("decoy")
    (root / "in").symlink_to("d/file")
    (root / "absolute").symlink_to("/d/file")
    (root / "up").symlink_to("../secret")
    (root / "host").symlink_to(tmp_path / "secret")
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    (root / "magic").symlink_to("/proc/self/root")
    os.mkfifo(root / "fifo")
    return root


@pytest.fixture
def root(tree: Path) -> Iterator[Root]:
    with Root.open(tree) as opened:
        yield opened


def text(root: Root, path: bytes) -> str:
    return root.read_file(path, 100).decode()


def number(call: Callable[..., object], *arguments: object) -> int:
    """The error number that a call fails with."""
    with pytest.raises(OSError) as caught:
        call(*arguments)
    return caught.value.errno or 0


@pytest.mark.parametrize(
    "path", [b"d/file", b"/d/file", b"in", b"absolute", b"../../d/file", b"d/../d/./file", b"//in"]
)
def test_reads_inside(root: Root, path: bytes) -> None:
    """Inside an image absolute names, absolute links and `..` count from its root."""
    assert text(root, path) == "inside"


@pytest.mark.parametrize("path", [b"up", b"../secret", b"/../secret"])
def test_up_stays_inside(root: Root, path: bytes) -> None:
    """A link or a name that climbs over the root finds what the root has there."""
    assert text(root, path) == "decoy"


def test_absolute_link_of_the_host(root: Root) -> None:
    """A link to an absolute path of the host finds nothing, because the root has no such path."""
    assert number(text, root, b"host") == errno.ENOENT


@pytest.mark.parametrize("path", [b"up", b"host", b"absolute", b"../secret", b"/d/file", b"d/../../root/d/file"])
def test_beneath_refuses_ways_out(tree: Path, path: bytes) -> None:
    """In a context whatever leads out is refused, even where it would lead back in."""
    with Root.open(tree, Walk.BENEATH) as root:
        assert number(text, root, path) == errno.EXDEV
        assert text(root, b"in") == "inside"


@pytest.mark.parametrize("path", [b"in", b"up", b"absolute", b"dangling"])
def test_no_symlinks(tree: Path, path: bytes) -> None:
    """Where paths are resolved already, any link is refused."""
    with Root.open(tree, Walk.NO_SYMLINKS) as root:
        assert number(text, root, path) == errno.ELOOP
        assert text(root, b"d/file") == "inside"


def test_magic_links(tmp_path: Path) -> None:
    """Links of /proc that the kernel itself resolves are refused (CVE-2024-21626)."""
    with Root.open("/proc") as proc:
        assert number(proc.open_dir, b"self/root") == errno.ELOOP
        assert number(proc.open_file, b"self/exe") == errno.ELOOP
    assert stat.S_ISDIR(tmp_path.stat().st_mode)


def test_loops_and_dangling_links(root: Root) -> None:
    """A link to itself and a link to nothing are the kernel's errors; lstat and readlink see the link."""
    assert number(root.stat, b"loop") == errno.ELOOP
    assert number(root.stat, b"dangling") == errno.ENOENT
    assert stat.S_ISLNK(root.lstat(b"dangling").st_mode)
    assert root.exists(b"dangling") and not root.exists(b"nowhere") and not root.exists(b"d/file/x")
    assert root.readlink(b"host").endswith(b"/secret")
    assert number(root.readlink, b"d") == errno.EINVAL


@pytest.mark.parametrize("path", [b"fifo", b"socket"])
def test_refuses_what_is_no_file(tree: Path, path: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FIFO or a socket is refused without waiting for anybody, and said by its name."""
    monkeypatch.chdir(tree)  # the path of a socket has a short limit
    with socket.socket(socket.AF_UNIX) as bound, Root.open(tree) as root:
        bound.bind("socket")
        with pytest.raises(WrongKind) as caught:
            root.open_file(path)
        assert caught.value.kind in ("a named pipe", "a socket")
        assert number(root.open_file, b"d") == errno.EISDIR


def test_refuses_devices() -> None:
    """A device is refused without being opened."""
    with Root.open("/dev") as root, pytest.raises(WrongKind, match="character device"):
        root.open_file(b"null")


def test_exchanged_between_look_and_open(tree: Path, root: Root) -> None:
    """A file that becomes a FIFO while we open it makes nobody wait (CVE-2018-15664)."""
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            (tree / "victim").write_text("inside")
            (tree / "victim").unlink()
            os.mkfifo(tree / "victim")
            (tree / "victim").unlink()

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        for _ in range(500):
            try:
                os.close(root.open_file(b"victim"))
            except OSError:
                pass
    finally:
        stop.set()
        thread.join()


def test_read_file_limit(root: Root) -> None:
    """A file is read up to a limit and no further (CVE-2024-9676)."""
    assert root.read_file(b"d/file", 6) == b"inside"
    assert number(root.read_file, b"d/file", 5) == errno.EFBIG
    with Root.open("/proc") as proc, pytest.raises(OSError):
        proc.read_file(b"kallsyms", 10)


def test_list(root: Root) -> None:
    """Names come sorted bytewise; a file has none."""
    assert root.list() == sorted(root.list()) and b"absolute" in root.list()
    assert root.list(b"/d") == [b"file"]
    assert number(root.list, b"d/file") == errno.ENOTDIR


def test_parent_of(root: Root) -> None:
    """A path gives the directory it is in, through links, and the name there; the root has none."""
    fd, name = root.parent_of(b"/d/../d/file/")
    try:
        assert os.stat(name, dir_fd=fd).st_size == 6
    finally:
        os.close(fd)
    for path in (b"", b"/", b"d/..", b"d/.", b".."):
        assert number(root.parent_of, path) == errno.EINVAL


def test_sub(root: Root) -> None:
    """A directory inside can be the root of further walks, which do not leave it either."""
    with root.sub(b"d") as below:
        assert text(below, b"../../file") == "inside"


def test_nul_byte(root: Root) -> None:
    """A NUL byte in a path is refused and does not end the path early."""
    assert number(root.lstat, b"d\0/x") == errno.EINVAL


def test_no_follow(root: Root) -> None:
    """The last link can be left unfollowed."""
    with pytest.raises(WrongKind, match="symbolic link"):
        root.open_file(b"in", follow_last=False)
    with pytest.raises(OSError):
        root.open_dir(b"magic", follow_last=False)


_links = st.sampled_from(
    ["/", "..", "../..", "/d", "d", "a", "b", "../secret", "/../..", "a/b", ".", "b/../../../secret"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["a", "b", "d/c"]), _links),
    st.lists(st.sampled_from(["a", "b", "c", "d", "..", "secret", "/"]), max_size=6),
)
def test_containment(tmp_path: Path, links: dict[str, str], parts: list[str]) -> None:
    """Whatever links there are and whatever path is asked for, nothing outside is ever opened."""
    where = tmp_path / f"try{os.urandom(8).hex()}"
    (where / "root" / "d").mkdir(parents=True)
    (where / "secret").write_text(SECRET)
    for name, target in links.items():
        (where / "root" / name).symlink_to(target)
    inside = {path.stat().st_ino for path in [where / "root", *(where / "root").rglob("*")] if not path.is_symlink()}
    for walk in Walk:
        with Root.open(where / "root", walk) as root:
            try:
                found = root.stat("/".join(parts).encode())
            except OSError:
                continue
            assert found.st_ino in inside


def test_shown() -> None:
    """A name in a message is printable, on one line and not too long."""
    assert shown(b"a\n\x1b[1m\xff") == "a\\n\\x1b[1m\\xff"
    assert shown("ä ü".encode()) == "ä ü"
    assert len(shown(b"x" * 1000)) == 198


def test_kind_word() -> None:
    """Every kind of inode has its words."""
    assert kind_word(stat.S_IFBLK | 0o600) == "a block device"
    assert kind_word(0) == "of an unknown kind"
