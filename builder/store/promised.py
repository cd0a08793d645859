"""Blobs that pulled images promise: those that a remembered manifest names, so that its registry has them.

An image that only goes to registries may have a name here without all of its layers being here (stages/spare). Where a
layer is promised it is not lost, and the record of the pull stays for as long as such a name does (store/holdings).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from builder.declare import replace
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
        found |= _layers_of(manifest, store)
    return frozenset(found)


def hold_to(layers: Collection[Digest], store: Store) -> None:
    """Remember the pulled images that promise any of these layers by their digests too: a tag that is asked again may
    lead elsewhere, and what it led to before would be forgotten. Raises StoreError.
    """
    for name, platform, manifest in store.pulled.all():
        if name.digest is None and not _layers_of(manifest, store).isdisjoint(layers):
            lasting = replace(name, tag=None, digest=manifest.digest)
            if store.pulled.find(lasting, platform) != manifest:
                store.pulled.put(lasting, platform, manifest)


def _layers_of(manifest: Descriptor, store: Store) -> set[Digest]:
    try:
        path = store.root / "blobs" / "sha256" / manifest.digest.hex
        listed = files.decode(files.read_bounded(path, HIGHEST_DOCUMENT_BYTES)).get("layers")
        return {descriptors.from_json(layer).digest for layer in (listed if isinstance(listed, list) else [])}
    except (OSError, ValueError):
        return set()


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
