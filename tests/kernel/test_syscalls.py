"""The system calls, made for real; those that need a namespace are made in one."""

from __future__ import annotations

import errno
import os
import signal
import stat
import struct
from pathlib import Path

import pytest

from builder.kernel import constants as c
from builder.kernel import syscalls as sys
from builder.kernel.syscalls import SyscallError
from tests.kernel.inside import in_child, in_namespace

kernel = pytest.mark.kernel


def test_an_error_names_call_number_and_subject() -> None:
    """A refused call says which, why and about what, and still is an OSError with errno and filename."""
    with pytest.raises(SyscallError) as caught:
        sys.openat2(c.AT_FDCWD, b"/no/such", os.O_RDONLY)
    error = caught.value
    assert (error.call, error.errno, error.subject) == ("openat2", errno.ENOENT, b"/no/such")
    assert error.filename == b"/no/such"
    assert str(error) == "openat2 /no/such: No such file or directory (ENOENT)"


def test_an_error_shows_names_that_are_not_utf_8() -> None:
    """A subject of any bytes can be printed."""
    assert "x\udcff" in str(SyscallError("mount", errno.EPERM, b"x\xff"))
    assert str(SyscallError("unshare", errno.ENOSPC)) == "unshare: No space left on device (ENOSPC)"


def test_a_path_with_a_nul_inside_is_refused() -> None:
    """The kernel would read only what is before it."""
    for call in (
        lambda: sys.openat2(c.AT_FDCWD, b"/etc\0/x", os.O_RDONLY),
        lambda: sys.open_tree(c.AT_FDCWD, "/etc\0/x"),
        lambda: sys.mount(None, "/etc\0/x", None),
        lambda: sys.umount2("/etc\0/x"),
    ):
        with pytest.raises(ValueError, match="null"):
            call()


def test_openat2_stays_in_the_root(tmp_path: Path) -> None:
    """With RESOLVE_IN_ROOT an absolute link leads to the root's file; with RESOLVE_BENEATH it is refused."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hostname").write_text("inner")
    (tmp_path / "link").symlink_to("/etc/hostname")
    (tmp_path / "up").symlink_to("../../../../etc/hostname")
    root = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    for name in (b"link", b"up", b"../../etc/hostname"):
        fd = sys.openat2(root, name, os.O_RDONLY, resolve=c.RESOLVE_IN_ROOT)
        assert os.read(fd, 9) == b"inner"
        assert not os.get_inheritable(fd)
        os.close(fd)
        with pytest.raises(SyscallError) as caught:
            sys.openat2(root, name, os.O_RDONLY, resolve=c.RESOLVE_BENEATH)
        assert caught.value.errno == errno.EXDEV
    os.close(root)


def test_openat2_creates_with_a_mode(tmp_path: Path) -> None:
    """`mode` is the new file's, less the umask."""
    os.close(sys.openat2(c.AT_FDCWD, os.fsencode(tmp_path / "new"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640))
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) & ~0o640 == 0


def test_renameat2_does_not_replace(tmp_path: Path) -> None:
    """RENAME_NOREPLACE fails with EEXIST where rename(2) would have overwritten; RENAME_EXCHANGE swaps."""
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    root = os.open(tmp_path, os.O_PATH)
    with pytest.raises(SyscallError) as caught:
        sys.renameat2(root, b"a", root, b"b", c.RENAME_NOREPLACE)
    assert caught.value.errno == errno.EEXIST
    sys.renameat2(root, b"a", root, b"b", c.RENAME_EXCHANGE)
    assert (tmp_path / "a").read_text() == "b"
    os.close(root)


def test_syncfs_takes_any_file_of_it(tmp_path: Path) -> None:
    """A directory's descriptor is enough; a closed one is EBADF."""
    fd = os.open(tmp_path, os.O_RDONLY)
    sys.syncfs(fd)
    os.close(fd)
    with pytest.raises(SyscallError, match="syncfs"):
        sys.syncfs(-1)


def test_clone_process_is_a_fork() -> None:
    """The child has its parent's memory and its own life; its end is waited for as for any child."""
    remembered = ["from the parent"]
    pid = sys.clone_process(0)
    if pid == 0:
        os._exit(len(remembered) + 41 if os.getppid() != 1 else 1)
    assert os.waitpid(pid, 0) == (pid, 42 << 8)


def test_a_cloned_child_can_fork_and_import() -> None:
    """The interpreter's locks are in order in the child: the import lock, its threads, its own forks."""
    pid = sys.clone_process(0)
    if pid == 0:
        status = 1
        try:
            import threading
            import wave  # noqa: F401  (any module that nobody has imported yet)

            thread = threading.Thread(target=lambda: None)
            thread.start()
            thread.join()
            inner = os.fork()
            if inner == 0:
                os._exit(5)
            status = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5


@pytest.mark.parametrize("flag", [c.CLONE_VM, c.CLONE_VFORK, c.CLONE_THREAD, c.CLONE_SIGHAND])
def test_clone_process_shares_nothing(flag: int) -> None:
    """Flags with which the child would run on its parent's memory are refused before the kernel sees them."""
    with pytest.raises(ValueError, match="share"):
        sys.clone_process(flag)


def test_a_refused_clone_is_an_error_in_the_parent() -> None:
    """What the kernel refuses is raised here, and the interpreter is in order afterwards."""
    with pytest.raises(SyscallError) as caught:
        sys.clone_process(c.CLONE_PIDFD | c.CLONE_PARENT | c.CLONE_NEWPID | c.CLONE_NEWTIME)
    assert caught.value.call == "clone"
    pid = os.fork()  # the interpreter still forks: the hooks were undone
    if pid == 0:
        os._exit(0)
    assert os.waitpid(pid, 0) == (pid, 0)


def test_pidfd_ends_the_very_process() -> None:
    """A pidfd polls readable after its process's end and signals nobody else."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    fd = sys.pidfd_open(pid)
    sys.pidfd_send_signal(fd, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    with pytest.raises(SyscallError) as caught:
        sys.pidfd_send_signal(fd, signal.SIGKILL)
    assert caught.value.errno == errno.ESRCH
    os.close(fd)
    with pytest.raises(SyscallError, match=f"pid {pid}"):
        sys.pidfd_open(pid)


def test_a_child_dies_with_its_parent() -> None:
    """After set_pdeathsig the kernel ends a process whose parent ends."""
    readable, writable = os.pipe()

    def parent() -> None:
        if os.fork() == 0:
            sys.set_pdeathsig(signal.SIGKILL)
            os.write(writable, b"ready")
            signal.pause()
        assert os.read(readable, 5) == b"ready"

    in_child(parent)
    os.close(writable)
    assert os.read(readable, 1) == b""  # nobody has the pipe any more
    os.close(readable)


def test_no_new_privs_is_set() -> None:
    """set_no_new_privs holds for the process and can be read back."""

    def body() -> None:
        assert sys.prctl(c.PR_GET_NO_NEW_PRIVS) == 0
        sys.set_no_new_privs()
        assert sys.prctl(c.PR_GET_NO_NEW_PRIVS) == 1

    in_child(body)


def test_prctl_refuses_what_it_does_not_know() -> None:
    """An unknown option is EINVAL."""
    with pytest.raises(SyscallError, match="EINVAL"):
        sys.prctl(123456)


def test_close_range_closes() -> None:
    """Everything from a number on is closed; with CLOSE_RANGE_CLOEXEC it is only closed on exec."""

    def body() -> None:
        fds = [os.dup(0) for _ in range(3)]
        os.set_inheritable(fds[0], True)
        sys.close_range(fds[0], fds[0], c.CLOSE_RANGE_CLOEXEC)
        assert not os.get_inheritable(fds[0])
        sys.close_range(fds[1], c.CLOSE_RANGE_LAST)
        os.fstat(fds[0])
        for fd in fds[1:]:
            with pytest.raises(OSError):
                os.fstat(fd)

    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            body()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    os.close(readable)
    os.close(writable)


def test_capabilities_are_read_as_the_kernel_tells_them() -> None:
    """capget agrees with /proc/self/status."""
    status = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    expected = tuple(int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh"))
    assert sys.capget() == expected


@kernel
def test_capabilities_are_set_high_and_low() -> None:
    """capset sets all 64 bits of each set; what is dropped from the bounding set is gone from it."""

    def body() -> None:
        keep = 1 << c.CAP_CHOWN | 1 << c.CAP_CHECKPOINT_RESTORE | 1 << c.CAP_SETPCAP
        sys.capset(keep, keep, 1 << c.CAP_CHOWN)
        assert sys.capget() == (keep, keep, 1 << c.CAP_CHOWN)
        assert sys.prctl(c.PR_CAPBSET_READ, c.CAP_SYS_ADMIN) == 1
        sys.cap_drop_bound(c.CAP_SYS_ADMIN)
        assert sys.prctl(c.PR_CAPBSET_READ, c.CAP_SYS_ADMIN) == 0
        with pytest.raises(SyscallError, match="EINVAL"):
            sys.cap_drop_bound(63)

    in_namespace(body)


def test_a_filter_answers_for_the_kernel() -> None:
    """An installed seccomp program gives the errno that it says."""

    def body() -> None:
        sys.set_no_new_privs()
        machine = os.uname().machine
        sync = {"x86_64": 162, "aarch64": 81}[machine]  # sync(2), which nothing else here calls
        program = b"".join(
            struct.pack("=HBBI", *row)
            for row in (
                (0x20, 0, 0, 0),  # load the call's number
                (0x15, 0, 1, sync),
                (0x06, 0, 0, c.SECCOMP_RET_ERRNO | errno.ENOTTY),
                (0x06, 0, 0, c.SECCOMP_RET_ALLOW),
            )
        )
        assert sys.seccomp_filter(program) == 0
        assert sys.prctl(c.PR_GET_SECCOMP) == 2

    in_child(body)


@pytest.mark.parametrize("program", [b"", b"1234567", b"123456789"])
def test_a_filter_is_made_of_whole_instructions(program: bytes) -> None:
    """An empty or cut program is refused before it is installed."""
    with pytest.raises(ValueError, match="8-byte"):
        sys.seccomp_filter(program)


def test_a_new_session_keyring_is_empty_of_the_old_ones_keys() -> None:
    """keyctl_join_session succeeds, or is refused where a container forbids keyrings."""

    def body() -> None:
        try:
            sys.keyctl_join_session()
        except SyscallError as error:
            assert error.errno in (errno.EPERM, errno.ENOSYS)

    in_child(body)
