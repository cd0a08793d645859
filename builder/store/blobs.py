"""Blobs: immutable bytes under their digest, in the folders that an OCI image layout gives them.

A blob appears under its name only when all of it is on the disk. Who writes a large one (a download, a packed
layer) writes to `temporary()` and then calls `adopt`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from builder.errors import StoreError
from builder.store import files, locks
from builder.store.session import Session
from builder.values.digest import Digest


class Blobs:
    """The blobs of a store."""

    def __init__(self, directory: Path, session: Session) -> None:
        self._directory = directory
        self._session = session

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be; one that is there stays while the store is open. Never write there."""
        path = self._directory / digest.hex
        self._session.use(path)
        return path

    def has(self, digest: Digest) -> bool:
        """Whether the blob is here; then it stays while the store is open."""
        facts = self._session.use(self._directory / digest.hex)
        return facts is not None and stat.S_ISREG(facts.st_mode)

    def temporary(self) -> Path:
        """A fresh path on the store's file system for a file to be adopted. Raises StoreError."""
        return self._session.temporary()

    def arriving(self, digest: Digest, while_waiting: Callable[[], None]) -> locks.Lock:
        """The right to fetch a blob, which one thread of one process has at a time; `while_waiting` may raise to end
        the wait. Hold no more than one: digests share locks, so that their files stay few. Raises StoreError."""
        return self._session.lock(f"blob-{digest.hex[:3]}", while_waiting)

    def adopt(self, temporary: Path, digest: Digest) -> None:
        """Make a finished file the blob `digest`; the caller has computed it. A blob that was there is replaced,
        which mends a damaged one. Durable on return. Raises StoreError."""
        with files.plain_errors("cannot keep a blob"):
            fd = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.fchmod(fd, 0o444)
                os.fsync(fd)
            finally:
                os.close(fd)
            self._session.publish(temporary, self._directory / digest.hex)
            files.sync_directory(self._directory)

    def adopt_made(self, temporary: Path, digest: Digest) -> None:
        """The same for a layer that can be made again: it is durable once an image that has it has a name.

        Raises StoreError.
        """
        with files.plain_errors("cannot keep a blob"):
            self._session.publish_unsettled(temporary, self._directory / digest.hex, 0o444)

    def put(self, data: bytes) -> Digest:
        """Keep small bytes (a config, a manifest). Raises StoreError."""
        digest = Digest.of(data)
        facts = self._session.use(self._directory / digest.hex)
        if facts is not None and facts.st_size == len(data):
            return digest
        temporary = self.temporary()
        with files.plain_errors("cannot keep a blob"):
            files.write_file(temporary, data)
        self.adopt(temporary, digest)
        return digest

    def read(self, digest: Digest, limit_bytes: int) -> bytes:
        """A blob's bytes, verified. Raises StoreError: it is not here, larger than the limit, or damaged.

        A damaged blob is put aside, so that the next build fetches or makes it anew.
        """
        try:
            data = files.read_bounded(self.path(digest), limit_bytes)
        except FileNotFoundError:
            raise StoreError(f"blob {digest} is not in the store") from None
        except ValueError as error:
            raise StoreError(f"blob {digest} cannot be read: {error}") from None
        except OSError as error:
            raise files.store_error(f"cannot read blob {digest}", error) from error
        if hashlib.sha256(data).hexdigest() != digest.hex:
            self.discard(digest)
            raise StoreError(f"blob {digest} in the store was damaged", hint="build again: it will be made anew")
        return data

    def discard(self, digest: Digest) -> None:
        """Put a blob that proved bad aside (in the trash). Raises StoreError."""
        self._session.to_trash(self._directory / digest.hex)
