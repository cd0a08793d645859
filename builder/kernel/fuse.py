"""fuse-overlayfs, for machines whose kernel refuses us a native overlay: its process, and the form of what it leaves.

It runs in the mount namespace of the step's outer process and ends with it. Its own marks in the upper directory are
turned into those of the kernel's overlay, so that all that comes later knows one form only.
Source: fuse-overlayfs(1), and what version 1.10 was seen to write.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import stat
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from builder.declare import dataclass
from builder.errors import MachineError
from builder.kernel import syscalls
from builder.kernel.constants import MNT_DETACH

_PROGRAM = "fuse-overlayfs"
_DIRECTORIES = ("/usr/local/bin", "/usr/bin", "/bin")
_LONGEST_WAIT_S = 20.0
_OPAQUE_FILE = b".wh..wh..opq"
_OPAQUE_DEVICE = b".wh..opq"
_WHITEOUT = b".wh."
_OWN_XATTR = "user.fuseoverlayfs."
OPAQUE_XATTR = "user.overlay.opaque"


@dataclass(frozen=True, slots=True)
class Fuse:
    """A running fuse-overlayfs: its process and where it is mounted."""

    process: subprocess.Popen[bytes]
    target: str


def program() -> str | None:
    """The path of fuse-overlayfs if it is installed and /dev/fuse can be opened."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return None
    for directory in _DIRECTORIES:
        path = Path(directory) / _PROGRAM
        if os.access(path, os.X_OK):
            return str(path)
    return None


def start(lowers: tuple[str, ...], upper: str, work: str, target: str) -> Fuse:
    """Mount a stack (uppermost first) with `upper` on top at `target`.

    Raises MachineError in the program's words; OSError for a layer that is not there.
    """
    path = program()
    if path is None:
        raise MachineError("fuse-overlayfs is not available", hint="install the package fuse-overlayfs")
    awkward = next((place for place in (upper, work, *lowers) if ":" in place), None)
    if awkward is not None:  # it divides layers at every colon, even of resolved names (1.10)
        raise MachineError(f"fuse-overlayfs cannot use {awkward}", hint="put --root where no name has a colon")
    fds = [os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for place in (upper, work, *lowers)]
    try:
        process = _spawn([path, "-f", "-o", _options(fds), target], fds)
        _wait_for_mount(process, target)
    finally:
        for fd in fds:
            os.close(fd)
    return Fuse(process, target)


def _options(fds: Sequence[int]) -> str:
    """Names by descriptors: short, and without commas."""
    upper, work, *lowers = [f"/proc/self/fd/{fd}" for fd in fds]
    return f"lowerdir={':'.join(lowers)},upperdir={upper},workdir={work}"


def _spawn(argv: list[str], fds: Sequence[int]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={},
        pass_fds=fds,
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )


def _wait_for_mount(process: subprocess.Popen[bytes], target: str) -> None:
    outside = os.stat(os.path.dirname(target)).st_dev
    deadline = time.monotonic() + _LONGEST_WAIT_S
    while _device_of(target) in (outside, None):
        if process.poll() is not None or time.monotonic() > deadline:
            raise MachineError(f"fuse-overlayfs did not mount: {_last_words(process)}")
        time.sleep(0.005)


def _device_of(target: str) -> int | None:
    try:
        return os.stat(target).st_dev
    except OSError:
        return None  # EIO, ENOTCONN: on its way up, or down


def stop(fuse: Fuse) -> None:
    """Unmount and wait until all is written. Raises MachineError when the process does not end."""
    try:
        syscalls.umount2(fuse.target, MNT_DETACH)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    try:
        fuse.process.wait(_LONGEST_WAIT_S)
    except subprocess.TimeoutExpired:
        fuse.process.kill()
        fuse.process.wait()
        raise MachineError("fuse-overlayfs did not end after it was unmounted") from None
    finally:
        if fuse.process.stderr:
            fuse.process.stderr.close()


def normalise(upper: str) -> None:
    """Turn fuse-overlayfs's marks below `upper` into overlay's: `.wh.NAME` and the opaque files. Raises OSError."""
    waiting = [os.fsencode(upper)]
    while waiting:
        directory = waiting.pop()
        before = os.lstat(directory)
        changed = _normalise_directory(directory, waiting)
        if changed:
            os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))


def _normalise_directory(directory: bytes, waiting: list[bytes]) -> bool:
    changed = False
    _strip_xattrs(directory)
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        mode = os.lstat(path).st_mode
        if name in (_OPAQUE_FILE, _OPAQUE_DEVICE):
            os.unlink(path)
            os.setxattr(directory, OPAQUE_XATTR, b"y")
            changed = True
        elif name.startswith(_WHITEOUT) and not stat.S_ISDIR(mode):
            os.unlink(path)
            os.mknod(os.path.join(directory, name.removeprefix(_WHITEOUT)), stat.S_IFCHR, os.makedev(0, 0))
            changed = True
        elif stat.S_ISDIR(mode):
            waiting.append(path)
        elif stat.S_ISREG(mode):
            _strip_xattrs(path)
    return changed


def _strip_xattrs(path: bytes) -> None:
    for name in os.listxattr(path, follow_symlinks=False):
        if name.startswith(_OWN_XATTR):
            os.removexattr(path, name, follow_symlinks=False)


def _end_with_parent() -> None:
    syscalls.set_pdeathsig(signal.SIGKILL)


def _last_words(process: subprocess.Popen[bytes]) -> str:
    process.kill()
    stream = process.stderr
    if stream is None or not select.select([stream], [], [], 1)[0]:
        return "it gave no reason"
    return stream.read(2000).decode(errors="replace").strip() or "it gave no reason"
