"""Bytes against what was announced of them: every blob passes through here while it streams, none is read further than
its announced size, and no file stays behind when the two disagree.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from builder.errors import ImageError, StoreError
from builder.oci.document import most_bytes, too_large
from builder.values.digest import Digest
from builder.values.image import Descriptor

CHUNK_BYTES = 1 << 20


class Verifier:
    """Hashes and counts the bytes of one blob. One use, one thread."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self._hash = hashlib.sha256()
        self.count = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises ImageError as soon as there are more than were announced."""
        self.count += len(data)
        if self.count > self._descriptor.size:
            raise ImageError(
                f"blob {self._descriptor.digest} is damaged: more than the {self._descriptor.size} bytes announced",
                hint="the image was not written whole; push or save it again",
            )
        self._hash.update(data)

    def finish(self) -> None:
        """Raises ImageError unless exactly the announced bytes were fed."""
        wanted = self._descriptor
        if self.count < wanted.size:
            raise truncated(wanted, self.count)
        got = Digest(self._hash.hexdigest())
        if got != wanted.digest:
            raise ImageError(
                f"blob {wanted.digest} is damaged: what arrived is {got}",
                hint="something changed it where it lies or on the way; push or save the image again",
            )


def truncated(wanted: Descriptor, count: int) -> ImageError:
    """The error for a blob that ended early."""
    return ImageError(
        f"blob {wanted.digest} is truncated: {count} of {wanted.size} bytes",
        hint="the image was not written whole; push or save it again",
    )


def verified_bytes(descriptor: Descriptor, chunks: Iterable[bytes]) -> bytes:
    """A whole small document. Raises ImageError; also for one announced to be too large, before it is read."""
    if descriptor.size > most_bytes():
        raise too_large(f"document {descriptor.digest}, as it is announced,", descriptor.size)
    verifier = Verifier(descriptor)
    parts = []
    for chunk in chunks:
        verifier.feed(chunk)
        parts.append(chunk)
    verifier.finish()
    return b"".join(parts)


def write_verified(
    descriptor: Descriptor, chunks: Iterable[bytes], into: Path, progress: Callable[[int], None]
) -> None:
    """Write a blob to `into`; on any failure the file is removed. Raises ImageError, StoreError for a full disk."""
    verifier = Verifier(descriptor)
    with new_file(into) as out:
        for chunk in chunks:
            verifier.feed(chunk)
            out.write(chunk)
            progress(verifier.count)
        verifier.finish()


class new_file:  # noqa: N801 - used as a context manager, reads like open()
    """A file that is being written: removed when the block fails; a failing disk becomes a StoreError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> BinaryIO:
        try:
            self._file = open(self._path, "wb")
        except OSError as error:
            raise write_error(error, self._path) from error
        return self._file

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self._file.close()
        except OSError as late:  # the last bytes did not fit
            error = error or late
        if error is None:
            return
        try:
            os.unlink(self._path)
        except OSError:
            pass
        if isinstance(error, OSError):
            raise write_error(error, self._path) from error


def write_error(error: OSError, path: Path) -> StoreError:
    """What to say when a file of ours cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"no space left to write {path}", hint="free some room there, or write to another place")
    return StoreError(f"cannot write {path}: {error.strerror or error}", hint="choose a place that you may write to")


def open_regular(path: Path, what: str) -> BinaryIO:
    """Open a file that must be a regular one; a fifo or device is never waited for or read. Raises ImageError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError as error:
        hint = None if path.is_absolute() else "a relative path starts at the directory you are in"
        said = f"{path} does not exist"
        told = said if str(path).endswith(what) else f"{what} is missing: {said}"
        raise ImageError(told, hint=hint or "check the path") from error
    except OSError as error:
        raise ImageError(f"{what} cannot be read: {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ImageError(f"{what} cannot be read: {path} is not a regular file")
    return os.fdopen(fd, "rb", buffering=0)


def chunks_of(file: BinaryIO, limit: int = -1) -> Iterator[bytes]:
    """The bytes from where `file` stands, `limit` of them or to its end, in pieces."""
    while limit:
        chunk = file.read(CHUNK_BYTES if limit < 0 else min(CHUNK_BYTES, limit))
        if not chunk:
            return
        limit -= len(chunk) if limit > 0 else 0
        yield chunk
