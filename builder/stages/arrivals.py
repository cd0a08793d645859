"""Blobs on their way into the store: each is fetched once, whoever wants it, and told of while it comes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from builder.errors import StoreError
from builder.oci.lanes import Check
from builder.oci.source import ImageSource
from builder.store.files import no_space_for
from builder.store.store import Store
from builder.values.event import Emit, Transfer
from builder.values.image import Descriptor

_REPORT_S = 0.1  # a transfer is told of this often; what shows it decides how much of that people see


class Arrivals:
    """Brings blobs of images into a store. May be used from several threads, and beside other processes."""

    def __init__(self, store: Store, emit: Emit) -> None:
        self._store = store
        self._emit = emit

    def is_here(self, blob: Descriptor) -> bool:
        """Whether the store has the blob, as far as its size tells."""
        try:
            return os.stat(self._store.blobs.path(blob.digest)).st_size == blob.size
        except OSError:
            return False

    def bring(self, blob: Descriptor, source: ImageSource, check: Check) -> None:
        """Fetch the blob unless it is here; who wants the same one at the same time waits and finds it.

        It has its digest then. `check` may raise to end it. Raises ImageError, StoreError; nothing is under the
        blob's name then.
        """
        if self.is_here(blob):
            return
        with self._store.blobs.arriving(blob.digest, check):
            if self.is_here(blob):
                return
            temporary = self._store.blobs.temporary()
            try:
                self._fetch(blob, source, temporary, check)
                self._store.blobs.adopt(temporary, blob.digest)
            finally:
                temporary.unlink(missing_ok=True)
        self._emit(Transfer("pull", called(blob), blob.size, blob.size))

    def fetch(self, blob: Descriptor, source: ImageSource, check: Check) -> Path:
        """Fetch the blob into a temporary file of the store, which is the caller's; told of in the same way.

        `check` may raise to end it. Raises ImageError, StoreError; no file is left then.
        """
        temporary = self._store.blobs.temporary()
        try:
            self._fetch(blob, source, temporary, check)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self._emit(Transfer("pull", called(blob), blob.size, blob.size))
        return temporary

    def _fetch(self, blob: Descriptor, source: ImageSource, into: Path, check: Check) -> None:
        try:
            source.fetch(blob, into, self._progress(blob, check))
        except StoreError as error:
            raise no_space_for(f"blob {called(blob)} of {source.name}", error.__cause__) or error from error.__cause__
        check()

    def _progress(self, blob: Descriptor, check: Check) -> Callable[[int], None]:
        told_s = time.monotonic()
        if blob.size:
            self._emit(Transfer("pull", called(blob), 0, blob.size))

        def report(done: int) -> None:
            nonlocal told_s
            check()
            now_s = time.monotonic()
            if now_s - told_s >= _REPORT_S and done < blob.size:  # the end is told when all of it is in the store
                told_s = now_s
                self._emit(Transfer("pull", called(blob), done, blob.size))

        return report


def called(blob: Descriptor) -> str:
    """What people see of a blob: the beginning of its digest."""
    return blob.digest.hex[:12]
