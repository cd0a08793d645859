"""The calls that Python's standard library lacks, one small typed function each. The only user of ctypes.

Argument types are declared once, at import. A call that fails raises `SyscallError`. Nothing here decides anything.
Each function's source is the man page of its name, section 2.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
from ctypes import c_char_p, c_int, c_long, c_uint, c_ulong, c_void_p
from typing import NamedTuple

from builder.kernel.constants import (
    CLONE_FS,
    CLONE_SIGHAND,
    CLONE_THREAD,
    CLONE_VFORK,
    CLONE_VM,
    FSCONFIG_CMD_CREATE,
    FSCONFIG_SET_FLAG,
    FSCONFIG_SET_STRING,
    FSMOUNT_CLOEXEC,
    FSOPEN_CLOEXEC,
    KEYCTL_JOIN_SESSION_KEYRING,
    NUMBERS,
    OPEN_TREE_CLOEXEC,
    PR_CAPBSET_DROP,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    SECCOMP_SET_MODE_FILTER,
)

_Text = str | bytes


class SyscallError(OSError):
    """A call that the kernel refused: its name, the error number and what it was about (often a path)."""

    def __init__(self, call: str, errno_: int, subject: _Text = "") -> None:
        super().__init__(errno_, os.strerror(errno_), subject or None)
        self.call = call
        self.subject = subject

    def __str__(self) -> str:
        name = errno.errorcode.get(self.errno or 0, str(self.errno))
        subject = os.fsdecode(self.subject)
        return f"{self.call}{' ' if subject else ''}{subject}: {self.strerror} ({name})"


_libc = ctypes.CDLL(None, use_errno=True)
# A fork-like call must not give up the interpreter's lock, or the child would wait for it forever.
_libc_locked = ctypes.PyDLL(None, use_errno=True)

# uname(2) tells the kernel's machine; a 32-bit interpreter on it would need other numbers. An unknown number is -1,
# which the kernel answers with ENOSYS.
_numbers = NUMBERS.get(os.uname().machine, {}) if struct.calcsize("P") == 8 else {}


class _Call:
    """A call by number with declared argument types; calling it returns the result or raises SyscallError."""

    __slots__ = ("_function", "_name", "_number")

    def __init__(self, name: str, *argtypes: type) -> None:
        self._name = name
        self._number = _numbers.get(name, -1)
        self._function = _libc["syscall"]  # by item: a new function object, with argtypes of its own
        self._function.argtypes = (c_long, *argtypes)
        self._function.restype = c_long

    def __call__(self, subject: _Text, *arguments: object) -> int:
        result: int = self._function(self._number, *arguments)
        if result < 0:
            raise SyscallError(self._name, ctypes.get_errno(), subject)
        return result


_capget = _Call("capget", c_char_p, c_char_p)
_capset = _Call("capset", c_char_p, c_char_p)
_close_range = _Call("close_range", c_uint, c_uint, c_uint)
_fsconfig = _Call("fsconfig", c_int, c_uint, c_char_p, c_char_p, c_int)
_fsmount = _Call("fsmount", c_int, c_uint, c_uint)
_fsopen = _Call("fsopen", c_char_p, c_uint)
_keyctl = _Call("keyctl", c_int, c_char_p)
_mount_setattr = _Call("mount_setattr", c_int, c_char_p, c_uint, c_char_p, c_ulong)
_move_mount = _Call("move_mount", c_int, c_char_p, c_int, c_char_p, c_uint)
_open_tree = _Call("open_tree", c_int, c_char_p, c_uint)
_openat2 = _Call("openat2", c_int, c_char_p, c_char_p, c_ulong)
_pivot_root = _Call("pivot_root", c_char_p, c_char_p)
_renameat2 = _Call("renameat2", c_int, c_char_p, c_int, c_char_p, c_uint)
_rt_sigaction = _Call("rt_sigaction", c_int, c_char_p, c_char_p, c_ulong)
_seccomp = _Call("seccomp", c_uint, c_uint, c_void_p)

_libc.mount.argtypes = (c_char_p, c_char_p, c_char_p, c_ulong, c_char_p)
_libc.umount2.argtypes = (c_char_p, c_int)
_libc.unshare.argtypes = (c_int,)
_libc.setns.argtypes = (c_int, c_int)
_libc.sethostname.argtypes = (c_char_p, c_ulong)
_libc.prctl.argtypes = (c_int, c_ulong, c_ulong, c_ulong, c_ulong)
_libc.syncfs.argtypes = (c_int,)
_libc.memmem.restype, _libc.memmem.argtypes = c_void_p, (c_void_p, c_ulong, c_char_p, c_ulong)

_clone = _libc_locked["syscall"]
_clone.argtypes = (c_long, c_ulong, c_void_p, c_void_p, c_void_p, c_ulong)
_clone.restype = c_long
for _hook in ("PyOS_BeforeFork", "PyOS_AfterFork_Parent", "PyOS_AfterFork_Child"):
    getattr(ctypes.pythonapi, _hook).argtypes = ()
    getattr(ctypes.pythonapi, _hook).restype = None


class _FilterProgram(ctypes.Structure):
    """struct sock_fprog: the count of 8-byte instructions and where they are."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", c_char_p))


def _bytes(text: _Text) -> bytes:
    """A C string. A NUL inside would cut it short in the kernel, so that another file was meant than was checked."""
    data = text if isinstance(text, bytes) else os.fsencode(text)
    if b"\0" in data:
        raise ValueError("embedded null byte")
    return data


def find(data: memoryview, word: bytes) -> int:
    """Where `word` is first in writable memory, or -1, by memmem(3)."""
    start = ctypes.addressof(ctypes.c_char.from_buffer(data)) if data else 0
    at: int | None = _libc.memmem(start, len(data), word, len(word)) if data else None
    return -1 if at is None else at - start


def _optional(text: _Text | None) -> bytes | None:
    return None if text is None else _bytes(text)


def _check(call: str, result: int, subject: _Text = "") -> None:
    if result < 0:
        raise SyscallError(call, ctypes.get_errno(), subject)


# Processes and namespaces


def unshare(flags: int) -> None:
    """Move this process into new namespaces. With CLONE_NEWUSER a threaded process gets EINVAL."""
    _check("unshare", _libc.unshare(flags), f"{flags:#x}")


def setns(fd: int, flags: int = 0) -> None:
    """Move this process into the namespace(s) that `fd` (of /proc/PID/ns, or a pidfd) names."""
    _check("setns", _libc.setns(fd, flags), f"fd {fd}")


def clone_process(flags: int) -> int:
    """Fork into new namespaces (`flags`: CLONE_NEW*): the child's pid, in the child 0; the child sends SIGCHLD.

    The raw call does what os.fork() does, between the same hooks of the interpreter. It is for a process with one
    thread: libc's own fork handlers (locks of other threads) are not run. Flags that share memory are refused with
    ValueError, for the child returns on its parent's stack.
    """
    if flags & (CLONE_VM | CLONE_VFORK | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS):
        raise ValueError(f"clone_process: {flags:#x} would share what a forked child must own")
    ctypes.pythonapi.PyOS_BeforeFork()
    pid: int = _clone(_numbers.get("clone", -1), flags | signal.SIGCHLD, None, None, None, 0)
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    failure = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise SyscallError("clone", failure, f"{flags:#x}")
    return pid


def pidfd_open(pid: int, flags: int = 0) -> int:
    """A descriptor of the process `pid`; it polls readable once the process has ended."""
    try:
        return os.pidfd_open(pid, flags)
    except OSError as error:
        raise SyscallError("pidfd_open", error.errno or 0, f"pid {pid}") from None


def pidfd_send_signal(pidfd: int, signal_number: int) -> None:
    """Send a signal to the very process that `pidfd` names, never to a later one with its number."""
    try:
        signal.pidfd_send_signal(pidfd, signal_number)
    except OSError as error:
        raise SyscallError("pidfd_send_signal", error.errno or 0, f"signal {signal_number}") from None


def prctl(option: int, a2: int = 0, a3: int = 0, a4: int = 0, a5: int = 0) -> int:
    """An operation on this process; what it returns depends on `option`."""
    result: int = _libc.prctl(option, a2, a3, a4, a5)
    _check("prctl", result, f"option {option}")
    return result


def set_pdeathsig(signal_number: int) -> None:
    """Have the kernel send us `signal_number` when the *thread* that forked us ends.

    It does not tell that the parent had ended before: compare getppid() afterwards. A set-id exec clears it.
    """
    prctl(PR_SET_PDEATHSIG, signal_number)


def set_no_new_privs() -> None:
    """From here on no exec raises privileges, for this process and all that it starts."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def default_action(signal_number: int) -> None:
    """Give a signal its default action: also 32 and 33, which libc keeps for itself and refuses (signal(7))."""
    _rt_sigaction(f"signal {signal_number}", signal_number, bytes(32), None, 8)


def sethostname(name: str) -> None:
    """Set the host name of the UTS namespace that we are in."""
    data = _bytes(name)
    _check("sethostname", _libc.sethostname(data, len(data)), name)


def keyctl_join_session() -> None:
    """Leave the session keyring for a new empty one."""
    _keyctl("session keyring", KEYCTL_JOIN_SESSION_KEYRING, None)


def close_range(first: int, last: int, flags: int = 0) -> None:
    """Close the descriptors `first` to `last`, both included (Linux 5.9); CLOSE_RANGE_CLOEXEC (5.11) closes on exec."""
    _close_range(f"{first}-{last}", first, last, flags)


# Capabilities and filters


class Capabilities(NamedTuple):
    """Sets of capabilities of a thread as bit masks: bit n is the capability numbered n."""

    effective: int
    permitted: int
    inheritable: int


# struct __user_cap_header_struct with _LINUX_CAPABILITY_VERSION_3, pid 0: this thread. The kernel writes to it only
# when the version is unknown to it, so that one constant serves all calls.
_CAP_HEADER = struct.pack("=Ii", 0x20080522, 0)


def capget() -> Capabilities:
    """The capability sets of this thread."""
    buffer = ctypes.create_string_buffer(24)
    _capget("", _CAP_HEADER, buffer)
    low_e, low_p, low_i, high_e, high_p, high_i = struct.unpack("=6I", buffer.raw)
    return Capabilities(low_e | high_e << 32, low_p | high_p << 32, low_i | high_i << 32)


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set the capability sets of this thread, as bit masks."""
    sets = (effective, permitted, inheritable)
    data = struct.pack("=6I", *(s & 0xFFFFFFFF for s in sets), *(s >> 32 for s in sets))
    _capset("", _CAP_HEADER, data)


def cap_drop_bound(cap: int) -> None:
    """Take the capability numbered `cap` out of the bounding set; EINVAL when this kernel does not know it."""
    prctl(PR_CAPBSET_DROP, cap)


def seccomp_filter(program: bytes, flags: int = 0) -> int:
    """Install a BPF program (struct sock_filter, 8 bytes each) on this thread.

    Returns the listener's descriptor with SECCOMP_FILTER_FLAG_NEW_LISTENER, otherwise 0. EACCES without no_new_privs or
    CAP_SYS_ADMIN in our user namespace.
    """
    count, rest = divmod(len(program), 8)
    if rest or not count:
        raise ValueError(f"a filter is made of 8-byte instructions, not of {len(program)} bytes")
    return _seccomp("filter", SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(_FilterProgram(count, program)))


# Files


_open_how = struct.Struct("=QQQ").pack


def openat2(dir_fd: int, path: bytes, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """Open `path` beneath `dir_fd` under the restrictions `resolve` (Linux 5.6); the descriptor closes on exec.

    With RESOLVE_IN_ROOT or RESOLVE_BENEATH a rename elsewhere on the machine at the wrong moment gives EAGAIN, which
    means "ask again" (openat2(2), ERRORS).
    """
    how = _open_how(flags | os.O_CLOEXEC, mode, resolve)
    path = _bytes(path)
    for _ in range(64):
        try:
            return _openat2(path, dir_fd, path, how, 24)
        except SyscallError as error:
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                raise
            last = error
    raise last


def renameat2(old_fd: int, old: bytes, new_fd: int, new: bytes, flags: int) -> None:
    """Rename with RENAME_NOREPLACE, RENAME_EXCHANGE or RENAME_WHITEOUT."""
    _renameat2(old, old_fd, _bytes(old), new_fd, _bytes(new), flags)


def syncfs(fd: int) -> None:
    """Write out everything of the file system that `fd` is on; reports write errors since Linux 5.8."""
    _check("syncfs", _libc.syncfs(fd), f"fd {fd}")


# Mounts


def mount(source: _Text | None, target: _Text, fstype: _Text | None, flags: int = 0, data: _Text | None = None) -> None:
    """Mount, bind, remount or change propagation, as `flags` say."""
    result = _libc.mount(_optional(source), _bytes(target), _optional(fstype), flags, _optional(data))
    _check("mount", result, target)


def umount2(target: _Text, flags: int = 0) -> None:
    """Unmount what is on `target`."""
    _check("umount2", _libc.umount2(_bytes(target), flags), target)


def pivot_root(new_root: _Text, put_old: _Text) -> None:
    """Make `new_root` (a mount point) our root and put the old one on `put_old`; both may be "."."""
    _pivot_root(new_root, _bytes(new_root), _bytes(put_old))


def open_tree(dir_fd: int, path: _Text, flags: int = 0) -> int:
    """A descriptor of the mount at `path`; with OPEN_TREE_CLONE, of a detached copy (Linux 5.2)."""
    return _open_tree(path, dir_fd, _bytes(path), flags | OPEN_TREE_CLOEXEC)


def move_mount(from_fd: int, from_path: _Text, to_fd: int, to_path: _Text, flags: int = 0) -> None:
    """Attach a detached mount, or move an attached one (Linux 5.2)."""
    _move_mount(to_path or from_path, from_fd, _bytes(from_path), to_fd, _bytes(to_path), flags)


def mount_setattr(
    dir_fd: int, path: _Text, flags: int, attr_set: int = 0, attr_clr: int = 0, propagation: int = 0
) -> None:
    """Change attributes (MOUNT_ATTR_*) and propagation (MS_*) of a mount; of all below too with AT_RECURSIVE (5.12)."""
    attributes = struct.pack("=QQQQ", attr_set, attr_clr, propagation, 0)
    _mount_setattr(path, dir_fd, _bytes(path), flags, attributes, len(attributes))


def fsopen(fstype: str, flags: int = FSOPEN_CLOEXEC) -> int:
    """A descriptor on which a new file system of this type is configured (Linux 5.2)."""
    return _fsopen(fstype, _bytes(fstype), flags)


def fsconfig_string(fd: int, key: str, value: _Text) -> None:
    """Set a parameter; refusals carry the file system's own words."""
    _configure(f"{key}={os.fsdecode(value)}", fd, FSCONFIG_SET_STRING, _bytes(key), _bytes(value), 0)


def fsconfig_flag(fd: int, key: str) -> None:
    """Set a parameter that has no value."""
    _configure(key, fd, FSCONFIG_SET_FLAG, _bytes(key), None, 0)


def fsconfig_create(fd: int) -> None:
    """Make the file system out of what was set."""
    _configure("create", fd, FSCONFIG_CMD_CREATE, None, None, 0)


def fsmount(fd: int, flags: int = FSMOUNT_CLOEXEC, attributes: int = 0) -> int:
    """A detached mount (MOUNT_ATTR_*) of a created file system; move_mount attaches it."""
    try:
        return _fsmount("", fd, flags, attributes)
    except SyscallError as error:
        raise SyscallError(error.call, error.errno or 0, _fs_log(fd)) from None


def _configure(subject: str, fd: int, *arguments: object) -> None:
    try:
        _fsconfig(subject, fd, *arguments)
    except SyscallError as error:
        log = _fs_log(fd)
        raise SyscallError(error.call, error.errno or 0, f"{subject}: {log}" if log else subject) from None


def _fs_log(fd: int) -> str:
    """What the file system says about its refusal: lines `e …`, `w …`, `i …`, one a read; ENODATA ends them."""
    lines: list[str] = []
    try:
        while len(lines) < 16 and (line := os.read(fd, 4096)):
            lines.append(line.decode(errors="replace").strip().removeprefix("e "))
    except OSError:
        pass  # ENODATA: all was said
    return "; ".join(lines)
