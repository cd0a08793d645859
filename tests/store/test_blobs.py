"""Blobs."""

from __future__ import annotations

import os

import pytest

from builder.errors import StoreError
from builder.store import Store
from builder.values.digest import Digest


def test_put_and_read(store: Store) -> None:
    """Bytes come back under their digest."""
    digest = store.blobs.put(b"hello")
    assert digest == Digest.of(b"hello")
    assert store.blobs.has(digest)
    assert store.blobs.read(digest, 5) == b"hello"


def test_put_twice_writes_once(store: Store) -> None:
    """Bytes that are there are not written again."""
    digest = store.blobs.put(b"hello")
    before = os.stat(store.blobs.path(digest)).st_ino
    store.blobs.put(b"hello")
    assert os.stat(store.blobs.path(digest)).st_ino == before


def test_put_mends_a_short_blob(store: Store) -> None:
    """A blob that lost its end is written anew."""
    digest = store.blobs.put(b"hello")
    os.chmod(store.blobs.path(digest), 0o600)
    store.blobs.path(digest).write_bytes(b"he")
    store.blobs.put(b"hello")
    assert store.blobs.read(digest, 5) == b"hello"


def test_adopt_moves_and_protects(store: Store) -> None:
    """An adopted file has its final name, no other, and nobody writes to it by accident."""
    temporary = store.blobs.temporary()
    temporary.write_bytes(b"data")
    store.blobs.adopt(temporary, Digest.of(b"data"))
    assert not temporary.exists()
    assert os.stat(store.blobs.path(Digest.of(b"data"))).st_mode & 0o777 == 0o444


def test_adopt_of_nothing_is_plain(store: Store) -> None:
    """Adopting a file that is not there is a StoreError."""
    with pytest.raises(StoreError, match="cannot keep a blob"):
        store.blobs.adopt(store.blobs.temporary(), Digest.of(b""))


def test_missing_blob_is_plain(store: Store) -> None:
    """Reading what is not there says so."""
    with pytest.raises(StoreError, match="is not in the store"):
        store.blobs.read(Digest.of(b"nothing"), 10)


def test_limit_is_kept(store: Store) -> None:
    """A blob larger than the caller's limit is refused."""
    digest = store.blobs.put(b"hello")
    with pytest.raises(StoreError, match="larger than 4 bytes"):
        store.blobs.read(digest, 4)


def test_damage_is_found_and_put_aside(store: Store) -> None:
    """A blob whose bytes changed is not given out, and gone afterwards, so that it is made anew."""
    digest = store.blobs.put(b"hello")
    os.chmod(store.blobs.path(digest), 0o600)
    store.blobs.path(digest).write_bytes(b"jello")
    with pytest.raises(StoreError, match="damaged"):
        store.blobs.read(digest, 5)
    assert not store.blobs.has(digest)
    assert len(store.trash()) == 1


def test_a_link_is_no_blob(store: Store) -> None:
    """A symlink in place of a blob is not followed."""
    digest = Digest.of(b"hello")
    target = store.root / "target"
    target.write_bytes(b"hello")
    os.symlink(target, store.blobs.path(digest))
    with pytest.raises(StoreError):
        store.blobs.read(digest, 5)
