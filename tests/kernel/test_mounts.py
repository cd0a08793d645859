"""Mount operations carried out for real, in a namespace of the test's own."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import ContextError, ImageError, MachineError, StoreError
from builder.kernel.mounts import (
    INERT,
    Bind,
    BindWithin,
    Device,
    Directory,
    Link,
    Mask,
    NewFilesystem,
    ReadOnly,
    Scratch,
    execute,
    open_within,
    refusal,
)
from tests.kernel.inside import in_namespace

pytestmark = pytest.mark.kernel


def _with_root(place: Path, body: Callable[[int], None]) -> None:
    root = place / "root"
    root.mkdir(exist_ok=True)

    def entered() -> None:
        fd = os.open(root, os.O_PATH)
        body(fd)
        os.close(fd)

    in_namespace(entered)


def test_new_filesystem_and_links(tmp_path: Path) -> None:
    """A tmpfs is mounted at a real directory; directories and links are made in it."""
    (tmp_path / "root" / "dev").mkdir(parents=True)

    def body(root: int) -> None:
        execute(root, (NewFilesystem("tmpfs", "/dev", INERT), Directory("/dev/a", 0o1777), Link("/dev/l", "a/b")))
        assert os.readlink(tmp_path / "root/dev/l") == "a/b"
        assert (tmp_path / "root/dev/a").stat().st_mode & 0o7777 == 0o1777

    _with_root(tmp_path, body)
    assert os.listdir(tmp_path / "root" / "dev") == []


@pytest.mark.parametrize("target", ["/link", "/link/inner", "/file"])
def test_own_targets_are_real(tmp_path: Path, target: str) -> None:
    """A target of ours that is a link, lies behind one, or is a file, is the image's fault."""
    (tmp_path / "outside" / "inner").mkdir(parents=True)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to("../outside")
    (tmp_path / "root" / "file").write_text("")

    def body(root: int) -> None:
        with pytest.raises(ImageError, match="is not a directory"):
            execute(root, (NewFilesystem("tmpfs", target),))

    _with_root(tmp_path, body)


def test_read_only_last(tmp_path: Path) -> None:
    """A read-only bind is writable for us until everything is mounted, and for nobody afterwards."""
    (tmp_path / "source").mkdir()

    def body(root: int) -> None:
        source = str(tmp_path / "source")
        made = execute(root, (Bind(source, "/a", True, read_only=True), Scratch("/a/inner")))
        assert [point.names for point in made] == [(b"a",), (b"a", b"inner")]
        with pytest.raises(OSError, match="Read-only"):
            (tmp_path / "root/a/x").write_text("")
        (tmp_path / "root/a/inner/x").write_text("")

    _with_root(tmp_path, body)


def test_same_target_twice(tmp_path: Path) -> None:
    """Of two mounts at one target the later one is seen."""

    def body(root: int) -> None:
        execute(root, (Scratch("/a"), Scratch("/a", 1 << 16)))
        assert os.statvfs(tmp_path / "root/a").f_blocks * os.statvfs(tmp_path / "root/a").f_bsize == 1 << 16

    _with_root(tmp_path, body)


def test_source_within(tmp_path: Path) -> None:
    """A source is found within its tree, whatever links say, and a file gets a file as its mount point."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "passwd").write_text("inside")
    (tmp_path / "tree" / "etc").symlink_to("/")

    def body(root: int) -> None:
        execute(root, (BindWithin(str(tmp_path / "tree"), "/etc/passwd", "/x/y"),))
        assert (tmp_path / "root/x/y").read_text() == "inside"

    _with_root(tmp_path, body)


def test_missing_source(tmp_path: Path) -> None:
    """A source that does not exist in its tree is named."""
    with pytest.raises(ContextError, match="'/a/b'"):
        open_within(str(tmp_path), "/a/b")


def test_devices(tmp_path: Path) -> None:
    """A device of the host works when bound, cannot be changed, and has to be the one that was meant."""

    def body(root: int) -> None:
        execute(root, (Directory("/dev"), Device("zero", 1, 5)))
        with open(tmp_path / "root/dev/zero", "rb") as zero:
            assert zero.read(2) == b"\0\0"
        with pytest.raises(OSError, match="Read-only"):
            (tmp_path / "root/dev/zero").chmod(0o600)
        with pytest.raises(MachineError, match="/dev/null"):
            execute(root, (Device("null", 1, 5),))

    _with_root(tmp_path, body)


def test_covers(tmp_path: Path) -> None:
    """Masked directories are empty, masked files are /dev/null, covered trees read-only; absent ones no concern."""
    (tmp_path / "root" / "d").mkdir(parents=True)
    (tmp_path / "root" / "d" / "x").write_text("secret")
    (tmp_path / "root" / "f").write_text("secret")
    (tmp_path / "root" / "r").mkdir()

    def body(root: int) -> None:
        execute(root, (Scratch("/r/mounted"),))
        execute(root, (Mask("/d"), Mask("/f"), ReadOnly("/r"), Mask("/absent"), ReadOnly("/f/absent")))
        assert os.listdir(tmp_path / "root/d") == []
        assert (tmp_path / "root/f").read_bytes() == b""
        for place in ("r/x", "r/mounted/x", "d/x"):
            with pytest.raises(OSError, match="Read-only"):
                (tmp_path / "root" / place).write_text("")

    _with_root(tmp_path, body)


def test_mask_does_not_follow(tmp_path: Path) -> None:
    """A mask is not put where a link leads (CVE-2025-31133)."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "kcore").symlink_to("/etc/hostname")

    def body(root: int) -> None:
        with pytest.raises(MachineError, match="mask at /kcore"):
            execute(root, (Mask("/kcore"),))

    _with_root(tmp_path, body)


def test_refused_mount(tmp_path: Path) -> None:
    """A refused mount is named with the kernel's words."""

    def body(root: int) -> None:
        with pytest.raises(MachineError, match="a new nosuchfs at /"):
            execute(root, (NewFilesystem("nosuchfs", "/"),))

    _with_root(tmp_path, body)


def test_no_space() -> None:
    """No space is the store's trouble, with what to do."""
    error = refusal(OSError(errno.ENOSPC, "x"), "cannot make a directory")
    assert isinstance(error, StoreError)
    assert "no space left" in error.message
    assert error.hint


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    """Operations that work and operations that fail leave no descriptor open."""

    def body(root: int) -> None:
        before = os.listdir("/proc/self/fd")
        execute(root, (Directory("/dev"), Device("null", 1, 3), Scratch("/a/b"), Bind(str(tmp_path), "/c", True)))
        for wrong in (Device("null", 9, 9), NewFilesystem("tmpfs", "/no"), BindWithin(str(tmp_path), "/no", "/x")):
            with pytest.raises((MachineError, ContextError)):
                execute(root, (Bind(str(tmp_path), "/d", True, read_only=True), wrong))
        assert os.listdir("/proc/self/fd") == before

    _with_root(tmp_path, body)
