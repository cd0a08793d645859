"""What names of the outside world led to."""

from __future__ import annotations

import os

from builder.store import Store
from builder.values.digest import Digest
from builder.values.image import MEDIA_MANIFEST, Descriptor
from builder.values.platform import Platform
from builder.values.reference import Reference

NAME = Reference.parse("debian:12")
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
MANIFEST = Descriptor(MEDIA_MANIFEST, Digest.of(b"m"), 1)


def test_answers_are_kept_by_platform(store: Store) -> None:
    """Each platform has its own answer."""
    store.pulled.put(NAME, AMD64, MANIFEST)
    assert store.pulled.find(NAME, AMD64) == MANIFEST
    assert store.pulled.find(NAME, ARM64) is None


def test_damaged_answer_is_not_found(store: Store) -> None:
    """An answer without a manifest is a miss, and gone afterwards."""
    store.pulled.put(NAME, AMD64, MANIFEST)
    folder = store.root / "pybuild" / "pulled"
    (path,) = folder.iterdir()
    path.write_bytes(b'{"version":1}')
    assert store.pulled.find(NAME, AMD64) is None
    assert os.listdir(folder) == []
