"""Small files written whole, versioned JSON read with suspicion, and the operating system's refusals in plain words.

Everything in the store that is not a tree or a blob goes through here. No names of folders and no locks live here.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from builder.errors import StoreError

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]

RECORD_LIMIT_BYTES = 1 << 20
"""No record of ours comes near it; a larger file is not one of ours."""
NO_SPACE_HINT = "free some room there (pybuild prune --all), or put the store elsewhere with --root"


def no_space_for(what: str, cause: BaseException | None) -> StoreError | None:
    """What to say where something did not fit into the store; None where that is not why it failed."""
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"no space left in the store for {what}", hint=NO_SPACE_HINT)
    return None


@contextmanager
def plain_errors(doing: str) -> Iterator[None]:
    """Turn the operating system's refusals inside the block into a StoreError that begins with `doing`."""
    try:
        yield
    except OSError as error:
        raise store_error(doing, error) from error


def store_error(doing: str, error: OSError) -> StoreError:
    """A StoreError for what the system answered, with the thing to do about it."""
    name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    where = f": {name}" if name else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"{doing}: no space left{where}", hint=NO_SPACE_HINT)
    text = os.strerror(error.errno) if error.errno is not None else str(error)
    return StoreError(f"{doing}: {text}{where}", hint=_HINTS.get(error.errno or 0))


_OWNER = "the store must belong to you and be writable; was it made by another user, or with sudo? Another: --root"
_HINTS = {
    errno.EACCES: _OWNER,
    errno.EPERM: _OWNER,
    errno.EROFS: "the store is on a read-only file system; choose another place with --root",
    errno.ENOTDIR: "a part of that path is a file; choose a directory with --root",
    errno.ENOLCK: "this file system has no file locks (NFS without lockd?); choose a local one with --root",
    errno.EIO: "the disk reports errors; see the kernel's log",
}


def write_file(path: Path, data: bytes) -> None:
    """Make the new file `path` (readable by its owner alone) with this content. Nothing is left where it fails."""
    _write(path, data, finish=_nothing)


def write_synced(path: Path, data: bytes) -> None:
    """The same, and the content is on the disk when this returns."""
    _write(path, data, finish=os.fsync)


def _nothing(_: int) -> None:
    return None


def _write(path: Path, data: bytes, finish: Callable[[int], None]) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        finish(fd)
    except OSError as error:
        remove_file(path)
        error.filename = error.filename or str(path)  # write and fsync do not say whose disk is full
        raise
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """Put a file's content on the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    except OSError as error:
        error.filename = str(path)  # fsync does not say whose disk it is
        raise
    finally:
        os.close(fd)


def sync_directory(directory: Path) -> None:
    """Put the names in a directory on the disk; a rename is durable only after this (fsync(2))."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def give_new_name(path: Path, name: Path) -> bool:
    """Move a file to a name that nothing has; False where something has it, or where the file system has no links.

    Raises OSError.
    """
    try:
        os.link(path, name)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            return False
        raise
    os.unlink(path)
    return True


def remove_file(path: Path) -> None:
    """Remove a file; that it is not there, or may not be removed, is nobody's problem."""
    try:
        os.unlink(path)
    except OSError:
        pass


def read_bounded(path: Path, limit_bytes: int) -> bytes:
    """The content of a regular file. Raises OSError, and ValueError where it is larger than the limit or no file."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError(f"{path} is not a regular file")
        if facts.st_size > limit_bytes:
            raise ValueError(f"{path} is larger than {limit_bytes} bytes")
        data = b""
        while piece := os.read(fd, facts.st_size - len(data)):  # nearly always all of it at once
            data += piece
        return data
    finally:
        os.close(fd)


def encode(document: Mapping[str, JsonValue]) -> bytes:
    """A document as the one line of JSON that is stored."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def decode(data: bytes) -> dict[str, JsonValue]:
    """A stored document. Raises ValueError for anything but a JSON object, however deep or odd."""
    try:
        value = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def read_record(path: Path, version: int) -> dict[str, JsonValue] | None:
    """A versioned record, or None where there is none. One that cannot be understood is removed and not found.

    A record of another version is left alone, since the pybuild that wrote it can still read it.
    Raises OSError for anything but a missing file.
    """
    try:
        document = decode(read_bounded(path, RECORD_LIMIT_BYTES))
    except FileNotFoundError:
        return None
    except ValueError:
        remove_file(path)
        return None
    if document.get("version") != version:
        if not isinstance(document.get("version"), int):
            remove_file(path)
        return None
    return document
