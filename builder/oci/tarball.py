"""One tar of small documents and blobs, written to a file or to a stream: the ground of both kinds of archive.

The bytes depend on the members alone: owner 0, no times, fixed modes. A file appears under its name only when all of
it is on the disk.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from builder.errors import StoreError
from builder.oci.lanes import Check, lanes
from builder.oci.place import copy_range, write_whole
from builder.oci.verify import CHUNK_BYTES, chunks_of, write_error
from builder.tree.tarwrite import END_OF_ARCHIVE, header, padding
from builder.values.entry import Entry, Kind
from builder.values.image import Descriptor

_LARGE_BYTES = 4 << 20  # below that a thread is not worth starting


class Tarball:
    """The members of a tar as they go out, in the order of the calls. Raises OSError when they cannot be written."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._is_file = isinstance(out, io.BufferedWriter) and stat.S_ISREG(os.fstat(out.fileno()).st_mode)

    def directory(self, name: str) -> None:
        """A directory."""
        self._out.write(header(Entry(name.encode(), Kind.DIR, mode=0o755)))

    def document(self, name: str, data: bytes) -> None:
        """A small file."""
        self._out.write(header(Entry(name.encode(), Kind.FILE, mode=0o644, size=len(data))) + data)
        self._out.write(padding(len(data)))

    def blob(self, descriptor: Descriptor, path: Path) -> None:
        """The blob in the file `path`, where an OCI layout has it. Raises StoreError for one not whole."""
        self._out.write(header(Entry(blob_name(descriptor).encode(), Kind.FILE, mode=0o644, size=descriptor.size)))
        try:
            blob = open(path, "rb", buffering=0)  # noqa: SIM115 - the try is for the opening alone, the with comes below
        except FileNotFoundError as error:
            raise StoreError(
                f"blob {descriptor.digest} is missing in the store", hint="build again with --no-cache"
            ) from error
        with blob:
            put = self._copied if self._is_file and descriptor.size >= _LARGE_BYTES else self._read_and_written
            if not put(blob, descriptor):
                raise StoreError(
                    f"blob {descriptor.digest} is damaged in the store: it should have {descriptor.size} bytes",
                    hint="something changed it on the disk: `pybuild store check` looks for more of that",
                )
        self._out.write(padding(descriptor.size))

    def _read_and_written(self, blob: BinaryIO, descriptor: Descriptor) -> bool:
        """Whether the blob, which is in the tar now, is what its descriptor says."""
        count, sha256 = 0, hashlib.sha256()
        for chunk in chunks_of(blob, descriptor.size + 1):
            count += len(chunk)
            sha256.update(chunk)
            self._out.write(chunk)
        return count == descriptor.size and sha256.hexdigest() == descriptor.digest.hex

    def _copied(self, blob: BinaryIO, descriptor: Descriptor) -> bool:
        """The same, copied by the kernel while another thread reads it for its digest."""
        self._out.flush()
        source, target = blob.fileno(), self._out.fileno()
        with lanes([descriptor], lambda one, check: _sha256_of(source, one.size + 1, check)) as digest:
            copy_range(source, target)
            self._out.seek(os.lseek(target, 0, os.SEEK_CUR))  # the descriptor went on without its buffer
            is_long_enough = os.lseek(source, 0, os.SEEK_CUR) == descriptor.size
            return is_long_enough and digest(0) == descriptor.digest.hex

    def end(self) -> None:
        """What closes a tar; nothing may follow."""
        self._out.write(END_OF_ARCHIVE)
        self._out.flush()


def blob_name(descriptor: Descriptor) -> str:
    """Where a layout has a blob."""
    return f"blobs/sha256/{descriptor.digest.hex}"


def _sha256_of(fd: int, most_bytes: int, check: Check) -> str:
    """Of what a file holds, read without a position of its own."""
    sha256 = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    at = 0
    while at < most_bytes and (count := os.preadv(fd, [buffer], at)):
        check()
        sha256.update(buffer[:count])
        at += count
    return sha256.hexdigest()


def write_tarball(destination: Path | BinaryIO, write: Callable[[Tarball], None]) -> None:
    """Have `write` put a whole tar into a file (replaced when all is written) or an open binary stream.

    Raises StoreError; for a stream that cannot be written the OSError itself, such as BrokenPipeError.
    """
    if not isinstance(destination, Path):
        write(Tarball(destination))
        return
    try:
        write_whole(destination, lambda file: write(Tarball(file)))
    except OSError as error:
        raise write_error(error, destination) from error
