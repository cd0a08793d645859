"""The system calls for namespaces and mounts, made for real in a namespace."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from pathlib import Path

import pytest

from builder.kernel import constants as c
from builder.kernel import syscalls as sys
from builder.kernel.syscalls import SyscallError
from tests.kernel.inside import in_child, in_namespace

pytestmark = pytest.mark.kernel


def test_namespaces_are_left_and_entered() -> None:
    """unshare makes a new UTS namespace whose host name is ours to set; setns goes back to the old one."""

    def body() -> None:
        before = socket.gethostname()
        old = os.open("/proc/self/ns/uts", os.O_RDONLY)
        sys.unshare(c.CLONE_NEWUTS)
        there = os.open("/proc/self/ns/uts", os.O_RDONLY)
        sys.sethostname("böx-1")
        assert os.uname().nodename.encode(errors="surrogateescape").decode() == "böx-1"
        with pytest.raises(SyscallError, match="EPERM"):
            sys.setns(old, c.CLONE_NEWUTS)  # it belongs to the host
        sys.setns(there, c.CLONE_NEWUTS)
        assert before != "böx-1"

    in_namespace(body)


def test_a_cloned_child_is_pid_1_of_its_namespace() -> None:
    """clone_process with CLONE_NEWPID gives a child that is the first of a new pid namespace."""

    def body() -> None:
        pid = sys.clone_process(c.CLONE_NEWPID | c.CLONE_NEWIPC)
        if pid == 0:
            os._exit(os.getpid() + 10)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 11

    in_namespace(body)


def test_mounts_are_made_and_taken_away(tmp_path: Path) -> None:
    """mount takes data and flags, umount2 takes it away, and the host never sees any of it."""

    def body() -> None:
        sys.mount("tmpfs", str(tmp_path), "tmpfs", c.MS_NOSUID | c.MS_NODEV, "size=4096k,mode=0711")
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o711
        (tmp_path / "inner").touch()
        sys.mount(None, str(tmp_path), None, c.MS_REMOUNT | c.MS_RDONLY)
        with pytest.raises(OSError, match="Read-only"):
            (tmp_path / "more").touch()
        sys.umount2(os.fsencode(tmp_path), c.MNT_DETACH)
        assert not (tmp_path / "inner").exists()
        with pytest.raises(SyscallError, match="ENODEV"):
            sys.mount(None, str(tmp_path), "nosuchfs")

    in_namespace(body)
    assert list(tmp_path.iterdir()) == []


def test_the_newer_mount_calls_work_together(tmp_path: Path) -> None:
    """fsopen, fsconfig, fsmount, move_mount, open_tree and mount_setattr make a tmpfs and a read-only copy of it."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()

    def body() -> None:
        fs = sys.fsopen("tmpfs")
        sys.fsconfig_string(fs, "size", "1m")
        sys.fsconfig_create(fs)
        mounted = sys.fsmount(fs, attributes=c.MOUNT_ATTR_NODEV)
        sys.move_mount(mounted, "", c.AT_FDCWD, os.fsencode(tmp_path / "a"), c.MOVE_MOUNT_F_EMPTY_PATH)
        (tmp_path / "a" / "file").write_text("x")
        tree = sys.open_tree(c.AT_FDCWD, str(tmp_path / "a"), c.OPEN_TREE_CLONE | c.AT_RECURSIVE)
        sys.mount_setattr(tree, "", c.AT_EMPTY_PATH | c.AT_RECURSIVE, c.MOUNT_ATTR_RDONLY, propagation=c.MS_PRIVATE)
        sys.move_mount(tree, b"", c.AT_FDCWD, str(tmp_path / "b"), c.MOVE_MOUNT_F_EMPTY_PATH)
        assert (tmp_path / "b" / "file").read_text() == "x"
        with pytest.raises(OSError, match="Read-only"):
            (tmp_path / "b" / "file").write_text("y")
        for fd in (fs, mounted, tree):
            assert not os.get_inheritable(fd)

    in_namespace(body)


def test_a_file_systems_own_words_are_in_the_error(tmp_path: Path) -> None:
    """When overlayfs refuses a parameter, what it says stands in the message."""

    def body() -> None:
        fs = sys.fsopen("overlay")
        with pytest.raises(SyscallError) as caught:
            sys.fsconfig_string(fs, "lowerdir+", str(tmp_path / "missing"))
        assert caught.value.errno == errno.ENOENT
        assert "missing" in str(caught.value)
        with pytest.raises(SyscallError) as caught:
            sys.fsconfig_string(fs, "nosuch", "1")
        assert "Unknown parameter 'nosuch'" in str(caught.value)

    in_namespace(body)


def test_pivot_root_changes_the_root(tmp_path: Path) -> None:
    """After pivot_root(".", ".") and a detach, the new root is all there is."""
    (tmp_path / "only").touch()

    def body() -> None:
        sys.mount(str(tmp_path), str(tmp_path), None, c.MS_BIND)
        os.chdir(tmp_path)
        sys.pivot_root(".", ".")
        sys.umount2(".", c.MNT_DETACH)
        assert os.listdir("/") == ["only"]

    in_namespace(body)


@pytest.mark.parametrize("threaded", [False, True])
def test_only_a_single_thread_may_make_a_user_namespace(threaded: bool) -> None:
    """unshare(CLONE_NEWUSER) is EINVAL in a process with threads, which is why the worker has none."""

    def body() -> None:
        import threading

        if threaded:
            threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
            with pytest.raises(SyscallError, match="EINVAL"):
                sys.unshare(c.CLONE_NEWUSER)
        else:
            sys.unshare(c.CLONE_NEWUSER)

    in_child(body)
