"""A step's root file system, put together from snapshots in one of three ways, and the question which one works here.

`OVERLAY` is the kernel's overlayfs, `FUSE` the program fuse-overlayfs, `COPY` a plain directory into which the layers
were copied. Whatever the way, `upper` ends up with the step's changes in overlayfs's form and without our mount points.
How layers are copied and compared is `tree`'s knowledge and comes in as `Copying`. Nothing here knows what a step runs.
Sources: Documentation/filesystems/overlayfs.rst; fs/overlayfs/params.c (`lowerdir+`: Linux 6.7).
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, assert_never

from builder.declare import dataclass
from builder.errors import MachineError, PybuildError
from builder.kernel import fuse, syscalls
from builder.kernel.beneath import Made, make_point, unmake
from builder.kernel.constants import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    CLONE_NEWNS,
    MNT_DETACH,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOSUID,
    MS_NODEV,
    OPEN_TREE_CLONE,
)
from builder.kernel.mounts import attach, make_private, new_filesystem, owned, refusal
from builder.kernel.points import Target, build_layer, missing_points
from builder.values.crossing import RootKind


class Copying(Protocol):
    """What RootKind.COPY needs: `tree.copyup` has it."""

    def merge(self, lowers: tuple[str, ...], target: str, /) -> object:
        """Make the new directory `target` the merged view of the layers, uppermost first."""

    def changes_into_upper(self, merged: str, lowers: tuple[str, ...], upper: str, /) -> object:
        """Put what `merged` differs in from the layers into `upper`, in overlayfs's form."""


@dataclass(frozen=True, slots=True)
class Layers:
    """A stack (uppermost first), what receives the changes, and room for the file system's own needs beside it."""

    lowers: tuple[str, ...]
    upper: str
    work: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a step's room is put together: directories on a tmpfs that only this mount namespace sees."""

    path: str

    @classmethod
    def create(cls, work: str) -> Stage:
        """Mount the tmpfs on `work`/stage. Raises OSError."""
        path = os.path.join(work, "stage")
        os.makedirs(path, 0o700)
        options = (("mode", "700"),)
        with owned(new_filesystem("tmpfs", MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, options)) as mount:
            _attach_at(mount, path)
        stage = cls(path)
        for directory in (stage.root, stage.view, stage.empty, stage.path + "/trees", stage.path + "/files"):
            os.mkdir(directory, 0o755)
        return stage

    @property
    def root(self) -> str:
        return self.path + "/root"

    @property
    def view(self) -> str:
        return self.path + "/view"

    @property
    def empty(self) -> str:
        return self.path + "/empty"

    def tree(self, number: int) -> str:
        return f"{self.path}/trees/{number}"

    def file(self, name: str) -> str:
        return f"{self.path}/files/{name}"

    def dismantle(self) -> None:
        """Unmount it with everything in it."""
        syscalls.umount2(self.path, MNT_DETACH)
        os.rmdir(self.path)


@dataclass(frozen=True, slots=True)
class Assembled:
    """A mounted stack at `path` with the mount points that were made in it.

    `finish` unmounts it, takes away these and others that were made later, and gives the upper directory its form.
    """

    path: str
    made: tuple[Made, ...]
    finish: Callable[[Sequence[Made]], None]


def assemble(
    kind: RootKind, layers: Layers, stage: Stage, targets: Sequence[Target], copying: Copying | None
) -> Assembled:
    """The step's root at `stage.root`, with a mount point for each target. Raises PybuildError."""
    if kind is RootKind.OVERLAY:
        _make_directories(layers)
        lowers = _with_points(layers, stage, targets)
        return _assemble_overlay(Layers(lowers, layers.upper, layers.work), stage.root)
    root = assemble_plain(kind, layers, stage.root, copying)
    made: list[Made] = []
    with owned(os.open(root.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
        for target in targets:
            if target.real:
                os.close(make_point(fd, target.path, target.directory, made))
    return Assembled(root.path, tuple(made), root.finish)


def assemble_plain(kind: RootKind, layers: Layers, target: str, copying: Copying | None) -> Assembled:
    """A stack at the directory `target`, which mount points can then be made in. Raises PybuildError."""
    _make_directories(layers)
    match kind:
        case RootKind.OVERLAY:
            return _assemble_overlay(layers, target)
        case RootKind.FUSE:
            return _assemble_fuse(layers, target)
        case RootKind.COPY:
            return _assemble_copy(layers, target, copying)
    assert_never(kind)


def _make_directories(layers: Layers) -> None:
    if not os.path.isdir(layers.upper):
        os.makedirs(layers.upper, 0o755)
        _take_root_from(layers)
    for path in (layers.upper, layers.work + "/overlay", *(() if layers.lowers else (layers.work + "/empty",))):
        os.makedirs(path, 0o755, exist_ok=True)


def _take_root_from(layers: Layers) -> None:
    """Give a new upper directory the attributes of the image's root: in an overlay the upper one's are what is seen."""
    os.chmod(layers.upper, 0o755)  # whatever the umask
    if not layers.lowers:
        return
    facts = os.stat(layers.lowers[0], follow_symlinks=False)
    os.chown(layers.upper, facts.st_uid, facts.st_gid)
    os.chmod(layers.upper, facts.st_mode & 0o7777)
    os.utime(layers.upper, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _with_points(layers: Layers, stage: Stage, targets: Sequence[Target]) -> tuple[str, ...]:
    """The layers with one more on top that holds the mount points they lack, if they lack any."""
    lowers = layers.lowers or (layers.work + "/empty",)
    if not layers.lowers:
        view = lowers[0]
    else:
        # Without an upper directory overlayfs wants two layers (EINVAL). Even one layer is looked at through it,
        # because whiteouts in it have to be as invisible here as they will be to the step.
        _overlay(lowers if len(lowers) > 1 else (*lowers, stage.empty), None, stage.view)
        view = stage.view
    with owned(os.open(view, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
        points = missing_points(root, targets)
        if points:
            build_layer(root, points, layers.work + "/points")
            lowers = (layers.work + "/points", *lowers)
    if view == stage.view:
        syscalls.umount2(stage.view, MNT_DETACH)
    return lowers


def _assemble_overlay(layers: Layers, target: str) -> Assembled:
    """A native overlay. Raises MachineError saying why the kernel refuses it, StoreError where there is no space."""
    _overlay(layers.lowers or (layers.work + "/empty",), layers, target)

    def finish(made: Sequence[Made]) -> None:
        syscalls.umount2(target, MNT_DETACH)
        _unmake_in(layers.upper, made)  # few and rare: those that a link inside another mount led to

    return Assembled(target, (), finish)


def _overlay(lowers: Sequence[str], writable: Layers | None, target: str) -> None:
    try:
        with ExitStack() as stack:
            names = [_by_descriptor(stack, lower) for lower in lowers]
            options = [("userxattr", ""), ("index", "off")]
            if writable is not None:
                options.append(("upperdir", _by_descriptor(stack, writable.upper)))
                options.append(("workdir", _by_descriptor(stack, writable.work + "/overlay")))
                options.append(("volatile", ""))
            try:
                parameters = (*(("lowerdir+", name) for name in names), *options)
                mount = new_filesystem("overlay", MOUNT_ATTR_NODEV, parameters)
            except OSError as error:
                if "lowerdir+" not in str(error):
                    raise
                _overlay_before_6_7(names, options, target)
                return
            with owned(mount):
                _attach_at(mount, target)
    except OSError as error:
        doing = f"cannot mount an overlay of {len(lowers)} layer{'s' * (len(lowers) != 1)}"
        raise refusal(error, doing, _overlay_hint(error)) from error


def _by_descriptor(stack: ExitStack, path: str) -> str:
    """A short name for a directory: fsconfig(2) takes 255 bytes, and a mount string divides at `:` and `,`."""
    fd = stack.enter_context(owned(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)))
    return f"/proc/self/fd/{fd}"


def _overlay_before_6_7(names: Sequence[str], options: Sequence[tuple[str, str]], target: str) -> None:
    """The classic mount string, of at most 4095 bytes: some 200 layers by their descriptors."""
    words = ["lowerdir=" + ":".join(names), *(f"{key}={value}" if value else key for key, value in options)]
    data = ",".join(words)
    if len(data) > 4095:
        raise MachineError(
            f"{len(names)} layers are too many for this kernel's overlay", hint="Linux 6.7 and newer take up to 500"
        )
    syscalls.mount("overlay", target, "overlay", MS_NODEV, data)


def _overlay_hint(error: OSError) -> str | None:
    match error.errno:
        case errno.ENODEV:
            return "the kernel has no overlay file system: `modprobe overlay` as root loads it"
        case errno.EPERM | errno.EACCES:
            return "overlay in a user namespace needs Linux 5.11; a container around us may forbid mounts altogether"
        case errno.EINVAL:
            return "a store on an overlay or a network file system cannot hold changes: put --root on a local disk"
        case errno.ENOENT:
            return "a snapshot of the store is missing; `pybuild store check` says which"
    return None


def _assemble_fuse(layers: Layers, target: str) -> Assembled:
    lowers = layers.lowers or (layers.work + "/empty",)
    process = fuse.start(lowers, layers.upper, layers.work + "/overlay", target)

    def finish(made: Sequence[Made]) -> None:
        fuse.stop(process)
        fuse.normalise(layers.upper)  # first: it marks new directories with files in them
        _unmake_in(layers.upper, made)

    return Assembled(target, (), finish)


def _assemble_copy(layers: Layers, target: str, copying: Copying | None) -> Assembled:
    if copying is None:
        raise MachineError("this machine refuses overlays, and copying was not made available")
    merged = layers.work + "/merged"
    copying.merge(layers.lowers, merged)
    with owned(syscalls.open_tree(AT_FDCWD, merged, OPEN_TREE_CLONE)) as mount:
        syscalls.mount_setattr(mount, "", AT_EMPTY_PATH, MOUNT_ATTR_NODEV)
        _attach_at(mount, target)

    def finish(made: Sequence[Made]) -> None:
        syscalls.umount2(target, MNT_DETACH)
        _unmake_in(merged, made)
        try:
            copying.changes_into_upper(merged, layers.lowers, layers.upper)
        except PermissionError as error:
            raise MachineError(
                f"the step's changes cannot be recorded: {error}",
                hint="a store on an overlay cannot hold whiteouts: put --root on a volume, a tmpfs or a local disk",
            ) from error

    return Assembled(target, (), finish)


def _unmake_in(directory: str, made: Sequence[Made]) -> None:
    with owned(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
        unmake(root, made)


def _attach_at(mount: int, path: str) -> None:
    with owned(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)) as point:
        attach(mount, point)


def probe_root_kind(directory: Path) -> RootKind:
    """How roots can be put together on the file system of `directory`, by trying it in a mount namespace of its own.

    Raises OSError when not even a directory can be made there.
    """
    place = tempfile.mkdtemp(prefix="probe-", dir=directory)
    try:
        for kind in (RootKind.OVERLAY, RootKind.FUSE):
            if (kind is RootKind.OVERLAY or fuse.program()) and _succeeds(functools.partial(_try, kind, place)):
                return kind
        return RootKind.COPY
    finally:
        shutil.rmtree(place, ignore_errors=True)


def probing(directory: Path) -> Callable[[], RootKind]:
    """`probe_root_kind` in a process of its own. What is returned waits for the answer, and raises as that does."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, _answer_of(directory).encode())
        finally:
            os._exit(0)
    os.close(writer)

    def answer() -> RootKind:
        with open(reader, "rb") as stream:
            words = stream.read().decode()
        os.waitpid(pid, 0)
        if not words:
            raise MachineError("the process that tries the store's file system ended without an answer")
        if words.isdigit():
            raise OSError(int(words), os.strerror(int(words)), os.fspath(directory))
        return RootKind(words)

    return answer


def _answer_of(directory: Path) -> str:
    """The kind, or the number of the error."""
    try:
        return probe_root_kind(directory)
    except OSError as error:
        return str(error.errno)


def _succeeds(action: Callable[[], None]) -> bool:
    """Whether an action works, in a child with its own mount namespace, so that nothing of it stays here."""
    try:
        pid = syscalls.clone_process(CLONE_NEWNS)
    except OSError:
        return False
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    status = 1
    try:
        make_private()
        action()
        status = 0
    except (OSError, PybuildError):
        pass  # that is the answer
    finally:
        os._exit(status)


def _try(kind: RootKind, place: str) -> None:
    """Remove a file and replace a directory in a small stack; raises where the marks are not as they should be."""
    base = tempfile.mkdtemp(prefix=f"{kind}-", dir=place)
    os.makedirs(base + "/lower/directory/inner")
    os.mkdir(base + "/root")
    with open(base + "/lower/file", "wb"):
        pass
    layers = Layers((base + "/lower",), base + "/upper", base + "/work")
    assembled = assemble_plain(kind, layers, base + "/root", None)
    os.unlink(base + "/root/file")
    os.rmdir(base + "/root/directory/inner")
    os.rmdir(base + "/root/directory")
    os.mkdir(base + "/root/directory")
    assembled.finish(())
    gone = os.lstat(base + "/upper/file")
    if not stat.S_ISCHR(gone.st_mode) or gone.st_rdev != 0:
        raise OSError(errno.EINVAL, "no whiteout was made")
    if os.getxattr(base + "/upper/directory", fuse.OPAQUE_XATTR) != b"y":
        raise OSError(errno.EINVAL, "no opaque directory was made")
