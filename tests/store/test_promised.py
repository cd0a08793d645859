"""What pulled images promise."""

from __future__ import annotations

import os

from builder.store import Store
from builder.store.promised import hold_to, promised
from tests.store import stocks


def test_the_layers_of_pulled_images_are_promised(store: Store) -> None:
    """And those of images that were made here are not."""
    base = stocks.base(store, "debian:12", "one", "two")
    stocks.image(store, "app:1", "three")
    assert promised(store) == {stocks.layer(store, text).descriptor.digest for text in ("one", "two")}
    os.unlink(store.root / "blobs" / "sha256" / base.manifest.digest.hex)
    assert promised(store) == set()


def test_a_promise_is_held_to(store: Store) -> None:
    """Where a layer is that somebody relies on is remembered by a digest: asking the tag again forgets nothing."""
    base, other = stocks.base(store, "debian:12", "one"), stocks.base(store, "alpine:3", "two")
    wanted = stocks.layer(store, "one").descriptor.digest
    hold_to({wanted}, store)
    hold_to({wanted}, store)
    assert sorted(str(name).rpartition("/")[2] for name, _, _ in store.pulled.all()) == [
        "alpine:3",
        "debian:12",
        f"debian@{base.manifest.digest}",
    ]
    for name, platform, _ in store.pulled.all():
        if name.tag == "12":
            store.pulled.put(name, platform, other.manifest)
    assert wanted in promised(store)


def test_damage_promises_nothing(store: Store) -> None:
    """A manifest that is no document, or whose layers are nonsense, is passed over."""
    for name, data in (("a:1", b"no"), ("b:1", b'{"layers": [1]}'), ("c:1", b'{"layers": 2}'), ("d:1", b"{}")):
        manifest = stocks.base(store, name, name).manifest
        path = store.root / "blobs" / "sha256" / manifest.digest.hex
        path.chmod(0o600)
        path.write_bytes(data)
    assert promised(store) == set()
