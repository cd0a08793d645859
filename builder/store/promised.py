"""Blobs that pulled images promise: those that a remembered manifest names, so that its registry has them.

An image that only goes to registries may have a name here without all of its layers being here (stages/spare). Where a
layer is promised it is not lost, and the record of the pull stays for as long as such a name does (store/holdings).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from builder.store import descriptors, files
from builder.store.store import Store
from builder.values.digest import Digest
from builder.values.image import Descriptor
from builder.values.limits import HIGHEST_DOCUMENT_BYTES


def promised(store: Store) -> frozenset[Digest]:
    """The layers of all pulled images whose manifests are here and can be read.

    To look is not to use, and what is damaged promises nothing and stays as it is. Raises StoreError where the records
    cannot be listed.
    """
    found: set[Digest] = set()
    for manifest in set(_manifests(store)):
        try:
            path = store.root / "blobs" / "sha256" / manifest.digest.hex
            listed = files.decode(files.read_bounded(path, HIGHEST_DOCUMENT_BYTES)).get("layers")
            layers = listed if isinstance(listed, list) else []
            found.update([descriptors.from_json(layer).digest for layer in layers])
        except (OSError, ValueError):
            continue
    return frozenset(found)


def _manifests(store: Store) -> Iterator[Descriptor]:
    directory = store.root / "pybuild" / "pulled"
    with files.plain_errors("cannot read the records of pulled images"):
        names = os.listdir(directory)
    for name in names:
        try:
            document = files.decode(files.read_bounded(directory / name, files.RECORD_LIMIT_BYTES))
            yield descriptors.from_json(document.get("manifest"))
        except (OSError, ValueError):
            continue
