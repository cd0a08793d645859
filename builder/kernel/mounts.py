"""Mounts as data, and their execution. What a step's room is made of can be printed and compared before it exists.

An operation names its target as a path inside a root; `execute` carries a tuple of them out, in order, on a directory
descriptor. Targets that the image or a Buildfile chose are walked with links contained (`beneath`); those that are ours
(/dev, /proc, /sys) have to be real, because a link there is an attack (CVE-2025-31133, CVE-2025-52565, CVE-2026-41579).
All mounts go through descriptors (open_tree, fsmount, move_mount), never through a path that is resolved twice.
Nothing here knows what a step is. Sources: mount_namespaces(7), fsopen(2), open_tree(2), move_mount(2).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from typing import assert_never

from builder.declare import dataclass
from builder.errors import ContextError, ImageError, MachineError, PybuildError, StoreError
from builder.kernel import syscalls
from builder.kernel.beneath import Made, make_point, open_real
from builder.kernel.constants import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    AT_SYMLINK_NOFOLLOW,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH,
    MS_PRIVATE,
    MS_REC,
    OPEN_TREE_CLONE,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
)

INERT = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
"""No set-id program, device or program of the mount has any effect."""

Options = tuple[tuple[str, str], ...]

_SPACE = (errno.ENOSPC, errno.EDQUOT)
_OURS = ((b"dev",), (b"proc",), (b"sys",))
"""Where a link may not lead a mount that the Buildfile chose: it would cover what the sandbox has put there."""


@dataclass(frozen=True, slots=True)
class NewFilesystem:
    """A fresh file system at a real directory of ours."""

    fstype: str
    target: str
    attributes: int = 0
    options: Options = ()


@dataclass(frozen=True, slots=True)
class Scratch:
    """A tmpfs at a target that the Buildfile chose; size 0 is the kernel's default."""

    target: str
    size_bytes: int = 0
    read_only: bool = False  # as with Bind


@dataclass(frozen=True, slots=True)
class Bind:
    """What `source` (a path of the host that is ours) is, shown at a target that image or Buildfile chose."""

    source: str
    target: str
    directory: bool
    attributes: int = 0
    read_only: bool = False  # applied when all is mounted, because other targets may lie inside


@dataclass(frozen=True, slots=True)
class BindWithin:
    """`source`, a path inside the directory `tree` of the host with its links contained there, shown at a target."""

    tree: str
    source: str
    target: str
    attributes: int = 0
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """The host's character device `name` of /dev in our /dev, if it is the device with these numbers."""

    name: str
    major: int
    minor: int


NULL = Device("null", 1, 3)


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory that is made in a file system of ours."""

    target: str
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link that is made in a file system of ours."""

    target: str
    content: str


@dataclass(frozen=True, slots=True)
class SystemTree:
    """The host's tree `source` with all that is mounted in it, read-only: where a fresh file system is refused."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class ReadOnly:
    """What is at a path of ours cannot be written; a path that does not exist is no concern."""

    target: str


@dataclass(frozen=True, slots=True)
class Mask:
    """What is at a path of ours cannot be seen: a directory is empty, a file is /dev/null."""

    target: str


MountOp = NewFilesystem | Scratch | Bind | BindWithin | Device | Directory | Link | SystemTree | ReadOnly | Mask


def make_private() -> None:
    """Cut this mount namespace off: nothing mounted here shows elsewhere, nor the reverse (CVE-2024-9407)."""
    syscalls.mount(None, "/", None, MS_REC | MS_PRIVATE)


def refusal(error: OSError, doing: str, hint: str | None = None) -> PybuildError:
    """A refused call in plain words: no space is the store's trouble, the rest is the machine's."""
    if error.errno in _SPACE:
        return StoreError(
            f"{doing}: no space left", hint="free some space where the store is, or choose another --root"
        )
    return MachineError(f"{doing}: {error}", hint=hint)


def execute(root: int, operations: Sequence[MountOp]) -> list[Made]:
    """Carry the operations out in the directory `root`; gives the mount points that had to be made.

    Raises ContextError for a source or target that cannot be used, MachineError naming the mount that was refused.
    """
    room = _Room(root, [], [])
    try:
        for operation in operations:
            try:
                _perform(room, operation)
            except OSError as error:
                raise refusal(error, f"cannot mount {_words(operation)}") from error
        for fd in room.read_only:
            syscalls.mount_setattr(fd, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY)
    finally:
        for fd in room.read_only:
            os.close(fd)
    return room.made


def new_filesystem(fstype: str, attributes: int = 0, options: Options = ()) -> int:
    """A descriptor of a detached new mount. An option without a value is a flag. Raises SyscallError."""
    with owned(syscalls.fsopen(fstype)) as context:
        for key, value in options:
            if value:
                syscalls.fsconfig_string(context, key, value)
            else:
                syscalls.fsconfig_flag(context, key)
        syscalls.fsconfig_create(context)
        return syscalls.fsmount(context, attributes=attributes)


def attach(mount: int, point: int) -> None:
    """Put a detached mount on what `point` (O_PATH is enough) is; closes neither. Raises SyscallError."""
    syscalls.move_mount(mount, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)


@contextlib.contextmanager
def owned(fd: int) -> Iterator[int]:
    """A descriptor that is closed at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)


def open_within(tree: str, source: str) -> int:
    """An O_PATH descriptor of `source` in a tree, links contained. Raises ContextError naming what is missing."""
    with owned(os.open(tree, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
        try:
            path = os.fsencode(source).lstrip(b"/") or b"."
            return syscalls.openat2(root, path, os.O_PATH, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                raise ContextError(f"the source {source!r} of a mount does not exist") from error
            if error.errno == errno.ELOOP:
                raise ContextError(f"the source {source!r} of a mount leads through a loop of links") from error
            raise


@dataclass(frozen=True, slots=True)
class _Room:
    """What a run of operations works on: the root, the mount points made, the mounts that become read-only at last."""

    root: int
    made: list[Made]
    read_only: list[int]


def _words(operation: MountOp) -> str:
    match operation:
        case NewFilesystem(fstype, target):
            return f"a new {fstype} at {target}"
        case Bind(source, target) | SystemTree(source, target) | BindWithin(source=source, target=target):
            return f"{source} at {target}"
        case Device(name):
            return f"the device /dev/{name}"
        case Scratch(target) | Directory(target) | Link(target) | ReadOnly(target) | Mask(target):
            return f"{type(operation).__name__.lower()} at {target}"
    assert_never(operation)


def _perform(room: _Room, operation: MountOp) -> None:
    match operation:
        case NewFilesystem(fstype, target, attributes, options):
            _attach_real(room, target, new_filesystem(fstype, attributes, options))
        case SystemTree(source, target, read_only):
            _attach_real(room, target, _system_tree(source, read_only))
        case Scratch(target, size_bytes, read_only):
            options = (("mode", "1777"), ("size", str(size_bytes)))[: 2 if size_bytes else 1]
            mount = new_filesystem("tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, options)
            if read_only:
                room.read_only.append(os.dup(mount))
            _attach_chosen(room, mount, target, directory=True)
        case Bind(source, target, directory):
            mount = syscalls.open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | AT_SYMLINK_NOFOLLOW)
            _bind(room, operation, mount, directory)
        case BindWithin(tree, source):
            with owned(open_within(tree, source)) as found:
                mount = syscalls.open_tree(found, "", OPEN_TREE_CLONE | AT_EMPTY_PATH)
                _bind(room, operation, mount, stat.S_ISDIR(os.fstat(found).st_mode))
        case Device():
            _device(room, operation)
        case Directory(target, mode):
            with _parent(room, target) as (parent, name):
                os.mkdir(name, dir_fd=parent)
                os.chmod(name, mode, dir_fd=parent)  # whatever the umask says
        case Link(target, content):
            with _parent(room, target) as (parent, name):
                os.symlink(content, name, dir_fd=parent)
        case ReadOnly(target) | Mask(target):
            _cover(room, target, masked=isinstance(operation, Mask))
        case _:
            assert_never(operation)


def _attach_real(room: _Room, target: str, mount: int) -> None:
    with owned(mount):
        try:
            point = open_real(room.root, target, os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise ImageError(
                    f"{target} of the image is not a directory",
                    hint=f"a symbolic link or file at {target} could point at this machine's own; it is not followed",
                ) from error
            raise
        with owned(point):
            attach(mount, point)


def _attach_chosen(room: _Room, mount: int, target: str, *, directory: bool) -> None:
    with owned(mount), owned(make_point(room.root, target, directory, room.made, _OURS)) as point:
        attach(mount, point)


def _bind(room: _Room, operation: Bind | BindWithin, mount: int, directory: bool) -> None:
    if operation.attributes:
        syscalls.mount_setattr(mount, "", AT_EMPTY_PATH, operation.attributes)
    if operation.read_only:
        room.read_only.append(os.dup(mount))
    _attach_chosen(room, mount, operation.target, directory=directory)


def _device(room: _Room, device: Device) -> None:
    with owned(host_device(device)) as mount, _parent(room, f"/dev/{device.name}") as (parent, name):
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=parent))
        with owned(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)) as point:
            attach(mount, point)


def host_device(device: Device) -> int:
    """A detached mount of the host's device. Raises MachineError where /dev has something else under its name."""
    mount = syscalls.open_tree(AT_FDCWD, f"/dev/{device.name}", OPEN_TREE_CLONE | AT_SYMLINK_NOFOLLOW)
    found = os.fstat(mount)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != os.makedev(device.major, device.minor):
        os.close(mount)
        raise MachineError(f"/dev/{device.name} of this machine is not the device that it should be")
    # Read-only keeps the host's node from a chmod by real root; a device can be written all the same.
    syscalls.mount_setattr(mount, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)
    return mount


def _system_tree(source: str, read_only: bool) -> int:
    mount = syscalls.open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | AT_RECURSIVE)
    attributes = INERT | (MOUNT_ATTR_RDONLY if read_only else 0)
    syscalls.mount_setattr(mount, "", AT_EMPTY_PATH | AT_RECURSIVE, attributes)
    return mount


@contextlib.contextmanager
def _parent(room: _Room, target: str) -> Iterator[tuple[int, str]]:
    head, _, name = target.rpartition("/")
    with owned(open_real(room.root, head, os.O_PATH | os.O_DIRECTORY)) as parent:
        yield parent, name


def _cover(room: _Room, target: str, *, masked: bool) -> None:
    try:
        point = open_real(room.root, target)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return  # this kernel has no such file
        raise
    with owned(point):
        if not masked:
            # Whole trees: the kernel does not let a mount be uncovered by copying it alone (locked mounts, EINVAL).
            mount = syscalls.open_tree(point, "", OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE)
            syscalls.mount_setattr(mount, "", AT_EMPTY_PATH | AT_RECURSIVE, INERT | MOUNT_ATTR_RDONLY)
        elif stat.S_ISDIR(os.fstat(point).st_mode):
            mount = new_filesystem("tmpfs", INERT | MOUNT_ATTR_RDONLY, (("mode", "555"),))
        else:
            mount = host_device(NULL)
        with owned(mount):
            attach(mount, point)
