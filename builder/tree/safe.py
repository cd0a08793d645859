"""Paths chosen by strangers, opened beneath a directory handle and never anywhere else.

A `Root` is a descriptor of a directory; the kernel itself (openat2) keeps every walk inside it, so nothing here
compares path strings, and nothing can be swapped between a check and a use (CVE-2018-15664). Nothing here writes.
Sources: openat2(2), path_resolution(7).
"""

from __future__ import annotations

import errno
import os
import stat
from enum import Enum
from types import TracebackType
from typing import Self

from builder.errors import MachineError
from builder.kernel.constants import RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS
from builder.kernel.syscalls import SyscallError, openat2

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFREG: "a file",
}


class Walk(Enum):
    """What a `Root` does with links that lead out of it."""

    IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
    """As after chroot: absolute links and `..` count from the root. For images."""

    BENEATH = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
    """A way out is refused with EXDEV, even if it leads back in; so are absolute paths. For build contexts."""

    NO_SYMLINKS = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
    """Any link on the way is refused with ELOOP. For trees whose paths are already resolved."""


class WrongKind(OSError):
    """What is at the path cannot be opened as what was asked for: `kind` says in words what it is ("a named pipe")."""

    def __init__(self, path: bytes, kind: str) -> None:
        super().__init__(errno.EINVAL, f"is {kind}", path)
        self.kind = kind


def kind_word(mode: int) -> str:
    """What st_mode says a thing is, in words: "a file", "a named pipe"."""
    return _KINDS.get(stat.S_IFMT(mode), "of an unknown kind")


def shown(path: bytes) -> str:
    """A name from outside as it may stand in a message: printable, on one line, at most 200 characters."""
    text = path[:400].decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= 200 else text[:197] + "…"


class Root:
    """A directory that paths are resolved in. Paths are bytes, `/`-separated; `b""` is the directory itself.

    All methods raise OSError as the kernel gives it: ENOENT, ENOTDIR, ELOOP; EXDEV for a way out where `walk` forbids
    it; MachineError where the kernel (or a seccomp filter around us) has no openat2. Closed by `close` or `with`.
    """

    __slots__ = ("fd", "walk")

    def __init__(self, fd: int, walk: Walk = Walk.IN_ROOT) -> None:
        """Take over `fd`, a descriptor of a directory (O_PATH is enough)."""
        self.fd = fd
        self.walk = walk

    @classmethod
    def open(cls, path: str | bytes | os.PathLike[str], walk: Walk = Walk.IN_ROOT) -> Self:
        """The directory `path` of the host, a path that we or our user chose: links in it are followed."""
        return cls(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), walk)

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open_path(self, path: bytes, *, follow_last: bool = True) -> int:
        """An O_PATH descriptor of whatever is there; opening it does nothing to it, be it a device or a FIFO."""
        return self._open(path, os.O_PATH if follow_last else os.O_PATH | os.O_NOFOLLOW)

    def open_file(self, path: bytes, flags: int = os.O_RDONLY, *, follow_last: bool = True) -> int:
        """A descriptor of the regular file there. Raises WrongKind for anything else, without having opened it.

        A FIFO would make us wait for ever, a device may act on being opened. So the first look is by O_PATH; if the
        file has been exchanged between the two opens, O_NONBLOCK and the second look keep us out (CVE-2024-9676).
        """
        extra = os.O_NONBLOCK | os.O_NOCTTY | (0 if follow_last else os.O_NOFOLLOW)
        looked = self.open_path(path, follow_last=follow_last)
        try:
            self._require_file(path, looked)
        finally:
            os.close(looked)
        fd = self._open(path, flags | extra)
        try:
            self._require_file(path, fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def open_dir(self, path: bytes, flags: int = os.O_RDONLY, *, follow_last: bool = True) -> int:
        """A descriptor of the directory there; ENOTDIR if it is something else."""
        return self._open(path, flags | os.O_DIRECTORY | (0 if follow_last else os.O_NOFOLLOW))

    def sub(self, path: bytes) -> Root:
        """The directory there as a root of its own, walked in the same way."""
        return Root(self.open_dir(path, os.O_PATH), self.walk)

    def parent_of(self, path: bytes) -> tuple[int, bytes]:
        """A descriptor (O_PATH) of the directory that `path` is in, and the name in it, for calls that take `dir_fd`.

        The name is safe to hand to a call that does not follow links. The root itself and a last component `.` or `..`
        have no name in a parent: EINVAL.
        """
        head, _, name = path.rstrip(b"/").rpartition(b"/")
        if name in (b"", b".", b".."):
            raise OSError(errno.EINVAL, "has no name in a directory", path)
        return self.open_dir(head, os.O_PATH), name

    def lstat(self, path: bytes) -> os.stat_result:
        """The status of what is there, a link itself and not its target."""
        return self._status(path, follow_last=False)

    def stat(self, path: bytes) -> os.stat_result:
        """The status of what is there, links followed."""
        return self._status(path, follow_last=True)

    def exists(self, path: bytes) -> bool:
        """Whether there is something at the path, a dangling link included."""
        try:
            self.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def readlink(self, path: bytes) -> bytes:
        """The target of the symbolic link there as it is written; EINVAL if it is none."""
        fd = self.open_path(path, follow_last=False)
        try:
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "is not a symbolic link", path)
            return os.readlink(b"", dir_fd=fd)
        finally:
            os.close(fd)

    def list(self, path: bytes = b"") -> list[bytes]:
        """The names in the directory there, sorted bytewise; ENOTDIR if it is something else."""
        fd = self.open_dir(path)
        try:
            return sorted(os.fsencode(name) for name in os.listdir(fd))
        finally:
            os.close(fd)

    def read_file(self, path: bytes, limit_bytes: int) -> bytes:
        """The content of the regular file there. More than the limit is EFBIG: its size is a stranger's choice."""
        fd = self.open_file(path)
        with os.fdopen(fd, "rb") as file:
            data = file.read(limit_bytes + 1)
        if len(data) > limit_bytes:
            raise OSError(errno.EFBIG, f"is larger than {limit_bytes} bytes", path)
        return data

    def _status(self, path: bytes, *, follow_last: bool) -> os.stat_result:
        fd = self.open_path(path, follow_last=follow_last)
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def _require_file(self, path: bytes, fd: int) -> None:
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(mode):
            raise WrongKind(path, kind_word(mode))

    def _open(self, path: bytes, flags: int) -> int:
        if b"\0" in path:
            raise OSError(errno.EINVAL, "holds a NUL byte", path)
        try:
            return openat2(self.fd, path or b".", flags | os.O_CLOEXEC, 0, self.walk.value)
        except SyscallError as error:
            if error.errno == errno.ENOSYS:
                raise MachineError(
                    "the system call openat2 is not available, so paths cannot be opened safely",
                    hint="pybuild needs Linux 5.11 or newer; if this is a container, a newer seccomp profile",
                ) from error
            # As the subclass of its number (FileNotFoundError …), which constructing OSError itself chooses.
            raise OSError(error.errno, os.strerror(error.errno or 0), path) from None
