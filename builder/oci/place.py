"""Files of an output put in place: whole under their final name or not there at all."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from builder.errors import StoreError
from builder.oci.verify import CHUNK_BYTES
from builder.pattern import pattern
from builder.tree.nameless import give_name, open_nameless
from builder.values.image import Descriptor

_TEMPORARY = pattern(r"\..*\.[0-9a-f]{12}\.pybuild-tmp\Z")
_FICLONE = 0x40049409  # ioctl_ficlone(2)


def replace_file(path: Path, data: bytes) -> None:
    """Write a small file: temp → sync → rename. Raises OSError."""
    temporary = temporary_beside(path)
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Have `write` fill a file, which is put in place (its directory made) when all is on the disk. Raises OSError.

    It has no name meanwhile, where the file system knows that: nobody would find it after the kill of a process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    fd = open_nameless(str(path.parent), 0o666)
    try:
        with open(temporary, "xb") if fd is None else os.fdopen(fd, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            if fd is not None:
                give_name(fd, str(temporary))  # link(2) replaces nothing
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def place_blob(source: Path, target: Path, descriptor: Descriptor) -> None:
    """Put the blob `source` at `target`, unread where the file system can share it. Raises StoreError, OSError.

    Shared extents first (changing one file then leaves the other alone), then a hard link, then a copy. One that is
    there already with the right size stays; another size means that somebody was interrupted, and is replaced.
    """
    if is_placed(target, descriptor):
        return
    try:
        size = source.stat().st_size
    except FileNotFoundError as error:
        raise StoreError(
            f"blob {descriptor.digest} is missing in the store", hint="build again with --no-cache"
        ) from error
    if size != descriptor.size:
        raise StoreError(f"blob {descriptor.digest} is damaged in the store: {size} bytes, not {descriptor.size}")
    temporary = temporary_beside(target)
    try:
        if not _cloned(source, temporary) and not _linked(source, temporary):
            _copied(source, temporary)
        os.rename(temporary, target)
        temporary.unlink(missing_ok=True)  # rename(2) of two names of one file does nothing and leaves both
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def is_placed(target: Path, descriptor: Descriptor) -> bool:
    """Whether a blob is at `target`, as far as its size tells. Raises OSError."""
    try:
        return target.stat().st_size == descriptor.size
    except FileNotFoundError:
        return False


def _cloned(source: Path, target: Path) -> bool:
    with open(source, "rb") as reader, open(target, "xb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
            os.fsync(writer.fileno())
            return True
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
    target.unlink()
    return False


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
        return True
    except OSError:  # another file system (EXDEV), too many links (EMLINK), protected_hardlinks (EPERM)
        return False


def _copied(source: Path, target: Path) -> None:
    with open(source, "rb", buffering=0) as reader, open(target, "xb", buffering=0) as writer:
        copy_range(reader.fileno(), writer.fileno())
        os.fsync(writer.fileno())


def copy_range(source: int, target: int) -> None:
    """Copy one file descriptor's bytes to another, in the kernel where it can. Raises OSError."""
    try:
        while os.copy_file_range(source, target, 1 << 30):
            pass
        return
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF):
            raise
    while chunk := os.read(source, CHUNK_BYTES):  # goes on where the kernel stopped
        view = memoryview(chunk)
        while view:
            view = view[os.write(target, view) :]


def temporary_beside(path: Path) -> Path:
    """A fresh name in the same directory, so that a rename is possible."""
    return path.with_name(f".{path.name[:100]}.{os.urandom(6).hex()}.pybuild-tmp")


def remove_leftovers(directory: Path) -> None:
    """Remove temporary files of killed processes; the caller holds the lock that keeps living ones out."""
    for name in os.listdir(directory):
        if _TEMPORARY.match(name):
            (directory / name).unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Make a file's content last. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_directory(directory: Path) -> None:
    """Make a rename in `directory` last."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
