"""What names of the outside world led to."""

from __future__ import annotations

import os

from builder.store import Store
from builder.values.digest import Digest
from builder.values.image import MEDIA_MANIFEST, Descriptor
from builder.values.platform import Platform
from builder.values.reference import Reference
from builder.values.shortnames import short_key

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


def test_all_answers_can_be_looked_through(store: Store) -> None:
    """Name, platform and manifest of each; one that is damaged does not hide the others."""
    other = Reference.parse("registry.test/a/b:1")
    store.pulled.put(NAME, AMD64, MANIFEST)
    store.pulled.put(other, ARM64, MANIFEST)
    (store.root / "pybuild" / "pulled" / "damaged.json").write_bytes(b'{"version":1,"name":7}')
    assert set(store.pulled.all()) == {(NAME, AMD64, MANIFEST), (other, ARM64, MANIFEST)}


def test_looking_through_the_answers_is_no_use(store: Store) -> None:
    """What is old stays old, so that prune may still take it."""
    store.pulled.put(NAME, AMD64, MANIFEST)
    (path,) = (store.root / "pybuild" / "pulled").iterdir()
    os.utime(path, (1, 1))
    store.pulled.all()
    assert path.stat().st_mtime == 1


def test_short_names_are_only_keys(store: Store) -> None:
    """They are found, and not listed: nothing can be asked of a registry that is none."""
    store.pulled.put(short_key("debian:12"), AMD64, MANIFEST)
    assert store.pulled.find(short_key("debian:12"), AMD64) == MANIFEST
    assert store.pulled.find(NAME, AMD64) is None
    assert store.pulled.all() == []
