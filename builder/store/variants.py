"""Which blob a layer became when it was compressed anew. Such a record is only a short cut: without it, or without its
blob, the layer is compressed again.
"""

from __future__ import annotations

import os
from pathlib import Path

from builder.store import descriptors, files
from builder.store.session import Session
from builder.values.digest import DiffId
from builder.values.image import Descriptor

VARIANT_VERSION = 1


class Variants:
    """The records of a store's layers in other compressions. `recipe` says in which: `zstd`, `gzip-9`."""

    def __init__(self, area: Path, blobs: Path, session: Session) -> None:
        self._directory = area / "variants"
        self._blobs = blobs
        self._session = session

    def find(self, diff_id: DiffId, recipe: str) -> Descriptor | None:
        """The blob, or None: nobody has made it, or it is gone. Raises StoreError."""
        path = self._path(diff_id, recipe)
        if self._session.use(path) is None:
            return None
        with files.plain_errors("cannot read a record of a compressed layer"):
            document = files.read_record(path, VARIANT_VERSION)
        if document is None:
            return None
        try:
            if (document.get("diff_id"), document.get("recipe")) != (str(diff_id), recipe):
                raise ValueError("the record is of another layer")
            found = descriptors.from_json(document.get("descriptor"))
        except ValueError:
            files.remove_file(path)
            return None
        if self._is_whole(found):
            return found
        files.remove_file(path)
        return None

    def put(self, diff_id: DiffId, recipe: str, made: Descriptor) -> None:
        """Remember a blob that is in the store. Raises StoreError."""
        document: dict[str, files.JsonValue] = {
            "version": VARIANT_VERSION,
            "diff_id": str(diff_id),
            "recipe": recipe,
            "descriptor": descriptors.to_json(made),
        }
        temporary = self._session.temporary()
        with files.plain_errors("cannot keep a record of a compressed layer"):
            files.write_file(temporary, files.encode(document))
            self._session.publish(temporary, self._path(diff_id, recipe))

    def _is_whole(self, descriptor: Descriptor) -> bool:
        path = self._blobs / descriptor.digest.hex
        try:
            facts = os.stat(path)
        except OSError:
            return False
        self._session.expect(path, facts)  # a build that was killed may have made it
        return facts.st_size == descriptor.size

    def _path(self, diff_id: DiffId, recipe: str) -> Path:
        return self._directory / f"{diff_id.hex}-{recipe}.json"
