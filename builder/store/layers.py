"""Layers: which blob holds a diff-id, and the index of each layer. How an index looks inside is `tree`'s business."""

from __future__ import annotations

import os
from pathlib import Path

from builder.store import descriptors, files
from builder.store.session import Session
from builder.store.settling import UNSETTLED
from builder.values.digest import DiffId, Digest
from builder.values.record import LayerRecord

LAYER_VERSION = 1


class Layers:
    """Layer records and layer indexes of a store."""

    def __init__(self, area: Path, blobs: Path, session: Session) -> None:
        self._records = area / "layers"
        self._indexes = area / "indexes"
        self._blobs = blobs
        self._session = session

    def find(self, diff_id: DiffId) -> LayerRecord | None:
        """The record of a layer, or None: unknown, unreadable, or its blob is gone or cut short. Raises StoreError.

        Record, blob and index stay while the store is open.
        """
        path = self._path(diff_id)
        if self._session.use(path) is None:
            return None
        with files.plain_errors("cannot read a layer record"):
            document = files.read_record(path, LAYER_VERSION)
        if document is None:
            return None
        try:
            if document.get("diff_id") != str(diff_id):
                raise ValueError("the record is of another layer")
            record = LayerRecord(diff_id, descriptors.from_json(document.get("descriptor")))
        except ValueError:
            files.remove_file(path)
            return None
        if self._is_whole(record.descriptor.digest, record.descriptor.size):
            return record
        files.remove_file(path)  # the blob is there before its record: this one leads nowhere any more
        return None

    def _is_whole(self, digest: Digest, size: int) -> bool:
        try:
            facts = os.stat(self._blobs / digest.hex)
        except OSError:
            return False
        if facts.st_mode & UNSETTLED:
            self._session.expect(self._blobs / digest.hex, facts)
        return facts.st_size == size

    def put(self, record: LayerRecord) -> None:
        """Remember a layer whose blob is in the store. Raises StoreError."""
        document: dict[str, files.JsonValue] = {
            "version": LAYER_VERSION,
            "diff_id": str(record.diff_id),
            "descriptor": descriptors.to_json(record.descriptor),
        }
        temporary = self._session.temporary()
        with files.plain_errors("cannot keep a layer record"):
            files.write_file(temporary, files.encode(document))
            self._session.publish(temporary, self._path(record.diff_id))

    def index_path(self, diff_id: DiffId) -> Path:
        """Where the layer's index is, or would be; one that is there stays while the store is open. Never write there.

        Raises StoreError.
        """
        path = self._indexes / diff_id.hex
        self._session.use(path)
        return path

    def has_index(self, diff_id: DiffId) -> bool:
        """Whether the layer's index is here; then it stays while the store is open. Raises StoreError."""
        return self._session.use(self._indexes / diff_id.hex) is not None

    def adopt_index(self, temporary: Path, diff_id: DiffId) -> None:
        """Make a finished file (on a path of `blobs.temporary()`) the layer's index. Raises StoreError."""
        with files.plain_errors("cannot keep a layer index"):
            self._session.publish_unsettled(temporary, self._indexes / diff_id.hex, 0o600)

    def discard_index(self, diff_id: DiffId) -> None:
        """Put an index that proved unreadable aside. Raises StoreError."""
        self._session.to_trash(self._indexes / diff_id.hex)

    def _path(self, diff_id: DiffId) -> Path:
        return self._records / f"{diff_id.hex}.json"
