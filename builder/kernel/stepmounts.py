"""The mounts that a Buildfile asks for (`RUN --mount`) and those that every step gets, turned into operations.

First what is shown is staged in our own mount namespace: trees are stacked, caches made, the bytes of files put into
memory (never on a disk, nor into swap). Then all of it is one tuple of `MountOp`, outer targets before inner ones.
Sources: Buildfile reference, `RUN --mount`; CVE-2024-21626, -23651, -23652, CVE-2024-1753 and CVE-2024-11218.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable, Sequence
from enum import Enum
from typing import assert_never

from builder.declare import dataclass
from builder.errors import ContextError, MachineError
from builder.kernel.constants import MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID
from builder.kernel.devices import device_operations
from builder.kernel.mounts import (
    INERT,
    Bind,
    BindWithin,
    MountOp,
    Scratch,
    attach,
    new_filesystem,
    open_within,
    owned,
)
from builder.kernel.points import Target
from builder.kernel.relay import BACKLOG, Door
from builder.kernel.rootfs import Stage
from builder.kernel.seeds import new_directory
from builder.values.crossing import (
    CacheMount,
    FileMount,
    SocketMount,
    StepMount,
    StepSpec,
    TmpfsMount,
    Tree,
    TreeMount,
)

_OURS = ("/dev", "/proc", "/sys")
_LONGEST_TARGET = 2048  # half of what the kernel takes: it is also looked for below directories of ours


class Sharing(Enum):
    """Whether a stacked tree may be the one that other mounts of the same tree show."""

    SHARED = "shared"  # nobody writes to it but us, to make mount points
    OWN = "own"


StackTree = Callable[[Tree, Sharing], str]
"""Gives the directory at which a tree was stacked; what is written there is thrown away."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A mount with what it shows: the operation, and whether its target has to be a directory."""

    operation: Bind | BindWithin | Scratch
    directory: bool

    @property
    def target(self) -> str:
        return self.operation.target


def stage_all(step: StepSpec, fds: Sequence[int], stage: Stage, stack_tree: StackTree) -> tuple[Staged, ...]:
    """Stage /etc/hosts, /etc/resolv.conf and the step's own mounts, outer targets first.

    Raises ContextError for a target or source that cannot be, MachineError, OSError.
    """
    staged = [
        _text("/etc/hosts", step.hosts, stage.file("hosts")),
        _text("/etc/resolv.conf", step.resolv_conf, stage.file("resolv.conf")),
    ]
    memory = _memory(stage) if any(isinstance(mount, FileMount) for mount in step.mounts) else ""
    for number, mount in enumerate(step.mounts):
        _check_target(mount.target)
        place = f"{memory}/{_file_of(number)}" if isinstance(mount, FileMount) else stage.file(_file_of(number))
        staged.append(_stage(mount, fds, place, stack_tree))
    return tuple(sorted(staged, key=lambda one: _depth(one.target)))


def doors_of(step: StepSpec, stage: Stage) -> tuple[Door, ...]:
    """The sockets that the step's socket mounts will show, listening, each with the agent's that it leads to.

    Raises ContextError for an agent that cannot be used, MachineError for an owner that cannot be, OSError.
    """
    sockets = [(number, mount) for number, mount in enumerate(step.mounts) if isinstance(mount, SocketMount)]
    return tuple(_open_door(mount, stage.file(_file_of(number))) for number, mount in sockets)


def targets_of(staged: Sequence[Staged]) -> tuple[Target, ...]:
    """All that will be mounted on in the root, our own directories first."""
    return (*(Target(path, True, real=True) for path in _OURS), *(Target(one.target, one.directory) for one in staged))


def outer_operations(staged: Sequence[Staged], *, tty_group: bool) -> tuple[MountOp, ...]:
    """What is mounted in the root before the step's pid 1 exists: /dev, then the rest from the outside in."""
    return (*device_operations(tty_group=tty_group), *(one.operation for one in staged))


def _file_of(number: int) -> str:
    return f"mount-{number}"


def _depth(path: str) -> int:
    return sum(part not in ("", ".") for part in path.split("/"))


def _check_target(target: str) -> None:
    """Refuse targets that would cover what the sandbox relies on. Links to these are dealt with when they are met."""
    if len(os.fsencode(target)) > _LONGEST_TARGET:
        raise ContextError(f"nothing can be mounted at {target[:40]!r}…: the path is too long")
    plain = os.path.normpath("/" + target.lstrip("/"))
    if plain == "/" or plain in _OURS or plain.startswith(("/proc/", "/sys/")):
        raise ContextError(
            f"nothing can be mounted at {target!r}", hint="/, /dev, /proc and /sys are the sandbox's own"
        )


def _stage(mount: StepMount, fds: Sequence[int], place: str, stack_tree: StackTree) -> Staged:
    match mount:
        case TreeMount(tree, source, target, writable):
            stacked = stack_tree(tree, Sharing.OWN if writable else Sharing.SHARED)
            with owned(open_within(stacked, source)) as found:
                mode = os.fstat(found).st_mode
            if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
                raise ContextError(f"the source {source!r} of a mount is neither a directory nor a file")
            bind = BindWithin(stacked, source, target, MOUNT_ATTR_NODEV, read_only=not writable)
            return Staged(bind, stat.S_ISDIR(mode))
        case CacheMount():
            _prepare_cache(mount, stack_tree)
            bind_cache = Bind(mount.directory, mount.target, True, MOUNT_ATTR_NODEV, mount.read_only)
            return Staged(bind_cache, True)
        case TmpfsMount(target, size_bytes, read_only):
            return Staged(Scratch(target, size_bytes, read_only), True)
        case FileMount():
            return _stage_file(mount, fds, place)
        case SocketMount():
            return Staged(Bind(place, mount.target, False, INERT), False)  # made by doors_of
    assert_never(mount)


def _prepare_cache(mount: CacheMount, stack_tree: StackTree) -> None:
    """Make the cache's directory, with its seed, unless it is there. It appears under its name when it is complete."""
    try:
        there = os.lstat(mount.directory).st_mode
    except FileNotFoundError:
        seed = None if mount.seed is None else stack_tree(mount.seed, Sharing.SHARED)
        try:
            new_directory(mount.directory, seed, mount.seed_source, (mount.uid, mount.gid, mount.mode))
        except OSError as error:
            _explain_owner(error, mount.uid, mount.gid)
            raise
        return
    if not stat.S_ISDIR(there):
        raise MachineError(f"the cache {mount.directory} is not a directory", hint="remove it")


def _memory(stage: Stage) -> str:
    """A place for bytes that are never swapped out: a ramfs; a tmpfs without swap is only for the machine's root.

    Where even that is refused the stage's own tmpfs has to do, which is memory too.
    """
    path = f"{stage.path}/memory"
    os.mkdir(path, 0o700)
    try:
        mount = new_filesystem("ramfs", MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, (("mode", "700"),))
    except OSError:
        return path
    with owned(mount), owned(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as point:
        attach(mount, point)
    return path


def _text(target: str, text: str, place: str) -> Staged:
    _write(place, text.encode("utf-8", "surrogateescape"), 0o644)
    return Staged(Bind(place, target, False, INERT, read_only=True), False)


def _stage_file(mount: FileMount, fds: Sequence[int], place: str) -> Staged:
    """The content stays executable where its mode says so: a here-document with `#!` is run as a program."""
    with open(os.dup(fds[mount.fd]), "rb") as source:
        _write(place, source.read(), mount.mode)
    _give(place, mount.uid, mount.gid)
    os.chmod(place, mount.mode)
    attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (0 if mount.mode & 0o111 else MOUNT_ATTR_NOEXEC)
    return Staged(Bind(place, mount.target, False, attributes, read_only=True), False)


def _open_door(mount: SocketMount, place: str) -> Door:
    """A socket of our own with the wanted owner and mode: the host's has its user's, and is not ours to change."""
    try:
        agent = os.open(mount.source, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise ContextError(f"the socket {mount.source} cannot be used: {error.strerror}") from error
    if not stat.S_ISSOCK(os.fstat(agent).st_mode):
        os.close(agent)
        raise ContextError(f"{mount.source} is not a socket")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with owned(os.open(os.path.dirname(place), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as directory:
        # By a descriptor: an address has room for 107 bytes (unix(7)), and the store may lie deep.
        listener.bind(f"/proc/self/fd/{directory}/{os.path.basename(place)}")
    _give(place, mount.uid, mount.gid)
    os.chmod(place, mount.mode)
    listener.listen(BACKLOG)
    return Door(listener, agent)


def _write(path: str, content: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(content)
    os.chmod(path, mode)


def _give(place: str, uid: int, gid: int) -> None:
    try:
        os.chown(place, uid, gid)
    except OSError as error:
        _explain_owner(error, uid, gid)
        raise


def _explain_owner(error: OSError, uid: int, gid: int) -> None:
    if error.errno in (errno.EPERM, errno.EINVAL) and (uid or gid):
        raise MachineError(
            f"a mount cannot belong to {uid}:{gid}: {error.strerror}",
            hint="these ids have to be in the user's range of /etc/subuid and /etc/subgid",
        ) from error
