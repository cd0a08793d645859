"""The hold: blobs of one image on their way from a source to a destination, and nowhere named in the store.

What the store has is taken from there; all else is fetched when the destination asks for it, into the store's room for
temporary files, and removed again at the end.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from builder.errors import ImageError
from builder.oci.lanes import Check, go_on, lanes
from builder.oci.layout import BlobPath
from builder.oci.source import ImageSource
from builder.stages.arrivals import Arrivals
from builder.store.store import Store
from builder.values.digest import Digest
from builder.values.event import Emit
from builder.values.image import Descriptor


class Hold:
    """The blobs of an image that `source` has. Use it with `with`.

    May be used from several threads.
    """

    def __init__(self, source: ImageSource, store: Store, emit: Emit) -> None:
        self._source = source
        self._store = store
        self._arrivals = Arrivals(store, emit)
        self._guards: defaultdict[Digest, threading.Lock] = defaultdict(threading.Lock)
        self._wanted: dict[Digest, Descriptor] = {}
        self._files: dict[Digest, Path] = {}
        self._made: list[Path] = []

    def load(self, documents: Mapping[Digest, bytes], blobs: Sequence[Descriptor]) -> None:
        """Take documents in, and remember what else there is to fetch. Raises StoreError."""
        for digest, data in documents.items():
            if Digest.of(data) != digest:
                raise ImageError(f"{self._source.name}: a document does not have its digest {digest}")
            temporary = self._store.blobs.temporary()
            self._made.append(temporary)
            temporary.write_bytes(data)
            self._files[digest] = temporary
        self._wanted.update((blob.digest, blob) for blob in blobs)

    def path(self, digest: Digest) -> Path:
        """The file of a blob, fetched now if it must be. Raises ImageError, StoreError."""
        found = self._files.get(digest)
        return self._bring(self._wanted[digest], go_on) if found is None else found

    @contextmanager
    def coming(self, blobs: Sequence[Descriptor]) -> Iterator[BlobPath]:
        """Begin to fetch these, several at a time in this order; what is given is `path`, which then waits for them."""
        blobs = [blob for blob in blobs if blob.digest not in self._files]
        numbers = {blob.digest: number for number, blob in enumerate(blobs)}
        with lanes(blobs, self._bring) as arrived:

            def path(digest: Digest) -> Path:
                number = numbers.get(digest)
                return self.path(digest) if number is None else arrived(number)

            yield path

    def _bring(self, blob: Descriptor, check: Check) -> Path:
        with self._guards[blob.digest]:
            found = self._files.get(blob.digest)
            if found is None:
                found = self._files[blob.digest] = self._fetched(blob, check)
            return found

    def _fetched(self, blob: Descriptor, check: Check) -> Path:
        if self._arrivals.is_here(blob):
            return self._store.blobs.path(blob.digest)
        fetched = self._arrivals.fetch(blob, self._source, check)
        self._made.append(fetched)
        return fetched

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for path in self._made:
            path.unlink(missing_ok=True)
