"""Finding and making mount points in a step's root, whose links and names are a stranger's choice.

A path is walked one name at a time from a directory descriptor, never following a link by the kernel's hand, so that
links stay inside the root and it is known which directories were there and which are missing. Nothing else runs in the
root while this happens. Nothing here mounts.
Sources: openat2(2), path_resolution(7); CVE-2019-14271, CVE-2025-31133 for what happens otherwise.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import deque
from collections.abc import Collection, Iterator, Sequence

from builder.declare import dataclass
from builder.errors import ContextError
from builder.kernel.constants import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS
from builder.kernel.syscalls import openat2

Names = tuple[bytes, ...]
"""A path without links, `.` and `..`, name by name; the root is ()."""

_MOST_LINKS = 40  # as the kernel's own limit, path_resolution(7)
_PATH_ONLY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Located:
    """Where a path leads: its `names`, of which the first `existing` are there; `mode` is the st_mode of the last one.

    `nested` says that the walk ended at one of the stops: what follows it is another file system's business.
    """

    names: Names
    existing: int
    mode: int
    nested: bool = False

    @property
    def exists(self) -> bool:
        return self.existing == len(self.names)


@dataclass(frozen=True, slots=True)
class Made:
    """A mount point that was made: in which mount, and under which names."""

    mount_id: int
    names: Names
    directory: bool


class _Walk:
    """The state of a walk: the names so far and a descriptor of each directory that is there."""

    def __init__(self, root: int) -> None:
        self.names: list[bytes] = []
        self.fds: list[int] = []
        self.root = root
        self.mode = stat.S_IFDIR
        self.links = 0

    def here(self) -> int:
        return self.fds[-1] if self.fds else self.root

    def up(self) -> None:
        if not self.names:
            return  # `..` of the root is the root
        if len(self.fds) == len(self.names):
            os.close(self.fds.pop())
            self.mode = stat.S_IFDIR
        self.names.pop()

    def to_root(self) -> None:
        while self.names:
            self.up()

    def step(self, name: bytes) -> bytes | None:
        """Take one name; gives the target of a link instead of taking it. Raises OSError."""
        if len(self.fds) < len(self.names):
            self.names.append(name)  # below something missing, all is missing
            return None
        if not stat.S_ISDIR(self.mode):
            raise NotADirectoryError(errno.ENOTDIR, "is below a file", name)
        try:
            fd = os.open(name, _PATH_ONLY, dir_fd=self.here())
        except FileNotFoundError:
            self.names.append(name)
            return None
        self.mode = os.fstat(fd).st_mode
        if not stat.S_ISLNK(self.mode):
            self.names.append(name)
            self.fds.append(fd)
            return None
        self.mode = stat.S_IFDIR
        target = os.readlink(b"", dir_fd=fd)
        os.close(fd)
        self.links += 1
        if self.links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        return target

    def close(self) -> None:
        while self.fds:
            os.close(self.fds.pop())


def locate(root: int, path: str, stops: Collection[Names] = ()) -> Located:
    """Where `path` leads in the directory `root`, links contained as after chroot; the walk ends at a stop.

    Raises ContextError for a path through a file or a loop of links.
    """
    walk = _Walk(root)
    try:
        nested = _follow(walk, path, stops)
        return Located(tuple(walk.names), len(walk.fds), walk.mode, nested)
    finally:
        walk.close()


def make_point(root: int, path: str, directory: bool, made: list[Made], kept: Collection[Names] = ()) -> int:
    """An O_PATH descriptor of what `path` leads to, after making what is missing (0755, 0644); records it in `made`.

    Raises ContextError as locate does, when a file is where a directory has to be, or the reverse, and where the path
    leads to the root itself or to one of `kept`, which are somebody else's to mount on; OSError.
    """
    walk = _Walk(root)
    try:
        _follow(walk, path, ())
        if not walk.names or tuple(walk.names) in kept:
            # By a link that the image or an earlier step has left, in a cache for instance: the words of the target
            # were looked at before.
            raise ContextError(f"cannot mount at {path!r}: that is {_named(walk.names)} of the step")
        _make_missing(walk, path, directory, made)
        found = os.fstat(walk.here())
        if stat.S_ISDIR(found.st_mode) != directory:
            wanted, there = ("a directory", "a file") if directory else ("a file", "a directory")
            raise ContextError(f"cannot mount {wanted} at {path!r}: the image has {there} there")
        return os.dup(walk.here())
    finally:
        walk.close()


def _named(names: Sequence[bytes]) -> str:
    return "/" + os.fsdecode(b"/".join(names)) if names else "the root"


def _make_missing(walk: _Walk, path: str, directory: bool, made: list[Made]) -> None:
    while len(walk.fds) < len(walk.names):
        depth = len(walk.fds)
        last = depth + 1 == len(walk.names)
        try:
            made.append(_make(walk.here(), tuple(walk.names[: depth + 1]), directory or not last))
            walk.fds.append(os.open(walk.names[depth], _PATH_ONLY, dir_fd=walk.here()))
        except (FileNotFoundError, FileExistsError) as error:
            # In a cache that it shares, another step makes, moves and removes names between two of our calls.
            raise ContextError(
                f"cannot mount at {path!r}: something else changed it meanwhile",
                hint="a step that uses the same cache does; sharing=locked keeps them apart",
            ) from error
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EACCES, errno.EROFS, errno.ENAMETOOLONG):
                raise
            what = "a directory" if directory or not last else "a file"
            raise ContextError(f"cannot mount at {path!r}: {what} for it cannot be made: {error.strerror}") from error


def mount_id(fd: int) -> int:
    """The id of the mount that a descriptor is in (proc_pid_fdinfo(5))."""
    with open(f"/proc/self/fdinfo/{fd}", "rb") as info:
        for line in info:
            if line.startswith(b"mnt_id:"):
                return int(line.split()[1])
    raise OSError(errno.ENOSYS, "the kernel does not say in which mount a file is")


def open_real(root: int, path: str, flags: int = os.O_PATH) -> int:
    """A descriptor of what is at `path`, refusing every symbolic link on the way (ELOOP). Raises SyscallError."""
    relative = os.fsencode(path.lstrip("/")) or b"."
    return openat2(root, relative, flags, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)


def unmake(root: int, made: Sequence[Made]) -> None:
    """Remove mount points again, the last first, keeping their parents' times; what has content by now is left."""
    for point in reversed(made):
        try:
            parent = open_real(root, os.fsdecode(b"/".join(point.names[:-1])), os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue  # the step removed the directory
        try:
            with times_kept(parent):
                _remove(parent, point)
        finally:
            os.close(parent)


@contextlib.contextmanager
def times_kept(directory: int) -> Iterator[None]:
    """Give a directory (an open descriptor) back the times that it had, whatever is made or removed in it."""
    before = os.fstat(directory)
    try:
        yield
    finally:
        os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))


def _follow(walk: _Walk, path: str, stops: Collection[Names]) -> bool:
    if "\0" in path:
        raise ContextError(f"cannot mount at {path!r}: the path holds a NUL byte")
    left = deque(os.fsencode(path).split(b"/"))
    try:
        while left:
            name = left.popleft()
            if name == b"..":
                walk.up()
            elif name not in (b"", b"."):
                target = walk.step(name)
                if target is not None:
                    if target.startswith(b"/"):
                        walk.to_root()
                    left.extendleft(reversed(target.split(b"/")))
                elif tuple(walk.names) in stops:
                    return any(rest not in (b"", b".") for rest in left)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
            raise ContextError(f"cannot mount at {path!r} in the image: {error.strerror}") from error
        raise
    return False


def _make(parent: int, names: Names, directory: bool) -> Made:
    fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
    try:
        with times_kept(fd):
            if directory:
                os.mkdir(names[-1], 0o755, dir_fd=fd)
            else:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                os.close(os.open(names[-1], flags, 0o644, dir_fd=fd))
        return Made(mount_id(fd), names, directory)
    finally:
        os.close(fd)


def _remove(parent: int, point: Made) -> None:
    name = point.names[-1]
    try:
        if point.directory:
            os.rmdir(name, dir_fd=parent)
        elif os.stat(name, dir_fd=parent, follow_symlinks=False).st_size == 0:
            os.unlink(name, dir_fd=parent)
    except (FileNotFoundError, NotADirectoryError):
        pass  # the step removed it, or put something else there
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
