"""What documents of a store are understood to need."""

from __future__ import annotations

import json
import os

import pytest

from builder.store import Store
from builder.store.documents import Documents
from builder.values.digest import DiffId, Digest
from tests.store import stocks

A, B = Digest.of(b"a"), Digest.of(b"b")


def needs(store: Store, document: object) -> tuple[str, ...]:
    """What a blob with this document needs."""
    digest = store.blobs.put(json.dumps(document).encode())
    facts = os.stat(store.blobs.path(digest))
    read = Documents(store.root).read("blobs/sha256", digest.hex, facts)
    assert read is not None
    return read.needs


def test_manifests_and_lists(store: Store) -> None:
    """A manifest needs its config and layers, a list its manifests, a config the records of its layers."""
    manifest = {"config": {"digest": str(A)}, "layers": [{"digest": str(B)}, {"digest": str(B)}]}
    assert set(needs(store, manifest)) == {f"blobs/sha256/{A.hex}", f"blobs/sha256/{B.hex}"}
    assert needs(store, {"manifests": [{"digest": str(A)}]}) == (f"blobs/sha256/{A.hex}",)
    diff_id = DiffId.of(b"a")
    assert needs(store, {"rootfs": {"diff_ids": [str(diff_id)]}}) == (f"pybuild/layers/{diff_id.hex}.json",)


@pytest.mark.parametrize(
    "document",
    [
        {"layers": "x", "manifests": {"digest": str(A)}, "config": [], "rootfs": {"diff_ids": 3}},
        {"layers": [None, 1, {"digest": 5}, {"digest": "sha256:../../x"}], "rootfs": {"diff_ids": [None, "x"]}},
        {"rootfs": []},
        [1, 2],
    ],
)
def test_nonsense_needs_nothing(store: Store, document: object) -> None:
    """Documents of the wrong shape are read as needing nothing."""
    assert needs(store, document) == ()


def test_names_that_are_not_ours(store: Store) -> None:
    """Files with other names than the store gives are not looked at."""
    facts = os.stat(store.root / "index.json")
    documents = Documents(store.root)
    for folder, name in (("blobs/sha256", "x"), ("pybuild/steps", A.hex), ("pybuild/layers", "README.md")):
        assert documents.read(folder, name, facts) is None


def test_a_record_of_a_newer_version(store: Store) -> None:
    """A record of another version is left alone; one that is no document is of no use."""
    path = store.root / "pybuild" / "steps" / f"{A.hex}.json"
    for text, useless in (('{"version":99}', False), ("{", True), ('{"version":"x"}', True)):
        path.write_text(text)
        read = Documents(store.root).read("pybuild/steps", path.name, path.stat())
        assert read is not None and read.useless is useless


def test_what_has_not_changed_is_not_read_again(store: Store) -> None:
    """A document is read once as long as its file stays as it is."""
    stocks.step(store, "one")
    path = store.root / "pybuild" / "steps" / f"{stocks.key('one').hex}.json"
    documents = Documents(store.root)
    facts = path.stat()
    first = documents.read("pybuild/steps", path.name, facts)
    path.unlink()
    assert documents.read("pybuild/steps", path.name, facts) is first is not None


def test_snapshots_know_their_layer_and_size(store: Store) -> None:
    """A snapshot says which layer it unpacks and how much room it takes, as the layer's index has it."""
    made = stocks.base(store, "debian:12", "base")
    wrapper = stocks.snapshot(store, made).parent
    state = Documents(store.root).snapshot(wrapper.name, wrapper.stat())
    assert state.layer == f"pybuild/layers/{made.diff_ids[0].hex}.json"
    assert state.size.size_bytes == 3 * 4096 and state.size.whole and not state.useless


def test_snapshots_of_another_boot(store: Store) -> None:
    """A tree that was not settled before the machine went down is of no use."""
    wrapper = stocks.snapshot(store, stocks.base(store, "debian:12", "base")).parent
    (wrapper / "state").write_text('{"version":1,"boot":"another"}')
    assert Documents(store.root).snapshot(wrapper.name, wrapper.stat()).useless
