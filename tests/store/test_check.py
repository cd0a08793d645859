"""Checking a store finds what is wrong with it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from builder.store import Store
from builder.store.check import check
from builder.values.digest import ChainId, DiffId, Digest
from builder.values.image import MEDIA_INDEX, MEDIA_LAYER, MEDIA_MANIFEST, Descriptor
from builder.values.key import key_of
from builder.values.platform import Platform
from builder.values.record import LayerRecord, StepRecord
from builder.values.reference import Reference

NAME = Reference.parse("app:1")


def _json(descriptor: Descriptor) -> dict[str, object]:
    return {"mediaType": descriptor.media_type, "digest": str(descriptor.digest), "size": descriptor.size}


def _blob(store: Store, media_type: str, data: bytes) -> Descriptor:
    return Descriptor(media_type, store.blobs.put(data), len(data))


@pytest.fixture
def layer(store: Store) -> Descriptor:
    """A store with one image under a name, its layer's record and index, a step, a snapshot, a pulled name."""
    layer = _blob(store, MEDIA_LAYER, b"layer")
    diff_id = DiffId.of(b"layer")
    config = _blob(store, "config", b"{}")
    document = {"config": _json(config), "layers": [_json(layer)]}
    manifest = _blob(store, MEDIA_MANIFEST, json.dumps(document).encode())
    index = store.blobs.temporary()
    index.write_text(json.dumps({"version": 1, "diff_id": str(diff_id)}) + "\n")
    store.layers.adopt_index(index, diff_id)
    store.layers.put(LayerRecord(diff_id, layer))
    store.records.put(key_of("run", 1), StepRecord(diff_id))
    store.records.put(key_of("run", 2), StepRecord(None))
    store.images.tag(NAME, manifest)
    store.pulled.put(NAME, Platform("linux", "amd64"), manifest)
    tree = store.snapshots.scratch() / "fs"
    tree.mkdir()
    store.snapshots.publish(tree, ChainId.of(b"c"))
    return layer


def _only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_whole_store_has_no_problems(store: Store, layer: Descriptor) -> None:  # noqa: ARG001
    """A store with everything in it is clean."""
    assert check(store) == []


def test_changed_blob(store: Store, layer: Descriptor) -> None:
    """A blob with other bytes is found."""
    os.chmod(store.blobs.path(layer.digest), 0o600)
    store.blobs.path(layer.digest).write_bytes(b"LAYER")
    assert check(store) == [f"blob {layer.digest}: its content has another digest"]


def test_missing_blob(store: Store, layer: Descriptor) -> None:
    """A blob that is gone is found from its record and from the image, unless the image was pulled: it can be again."""
    os.unlink(store.blobs.path(layer.digest))
    assert check(store) == [f"layer record {DiffId.of(b'layer').hex}.json: blob {layer.digest} is not there"]
    os.unlink(_only(store.root / "pybuild" / "pulled"))
    problems = check(store)
    assert len(problems) == 2 and all("is not there" in problem for problem in problems)


def test_strange_names_among_the_blobs(store: Store) -> None:
    """What is no blob, or no regular file, is found."""
    folder = store.root / "blobs" / "sha256"
    (folder / "notes.txt").write_bytes(b"")
    os.symlink("/etc/passwd", folder / Digest.of(b"x").hex)
    assert [problem.rpartition(": ")[2] for problem in check(store)] == [
        "not a regular file",
        "not the name of a blob",
    ]


@pytest.mark.parametrize("folder", ["layers", "pulled", "indexes"])
@pytest.mark.parametrize("data", [b"", b'{"version":1,"diff_id":"sha256:00"}\n', b"[]\n"])
def test_damaged_records(store: Store, layer: Descriptor, folder: str, data: bytes) -> None:  # noqa: ARG001
    """A record that cannot be understood is found; checking does not remove it."""
    path = _only(store.root / "pybuild" / folder)
    path.write_bytes(data)
    assert check(store)
    assert path.exists()


def test_damaged_step_record(store: Store, layer: Descriptor) -> None:  # noqa: ARG001
    """A step record without meaning, and one of another version, are found."""
    one, two = (store.root / "pybuild" / "steps").iterdir()
    one.write_bytes(b'{"version":1,"diff_id":5}')
    two.write_bytes(b'{"version":7}')
    assert len(check(store)) == 2


def test_step_of_an_unknown_layer(store: Store) -> None:
    """A step record whose layer nobody knows is found."""
    store.records.put(key_of("run", 1), StepRecord(DiffId.of(b"x")))
    (problem,) = check(store)
    assert "no layer" in problem


def test_half_a_snapshot(store: Store) -> None:
    """A snapshot without a tree is found."""
    (store.root / "pybuild" / "snapshots" / ("0" * 64)).mkdir()
    assert check(store) == [f"snapshot {'0' * 64}: it is not whole"]


def test_damaged_index(store: Store) -> None:
    """A damaged index.json is one problem, not an error."""
    (store.root / "index.json").write_bytes(b"{}")
    (problem,) = check(store)
    assert "index.json is damaged" in problem


def test_name_without_manifest(store: Store) -> None:
    """A name whose manifest is gone is found; so is one whose size is wrong, and one that is there twice."""
    store.images.tag(NAME, Descriptor(MEDIA_MANIFEST, Digest.of(b"gone"), 4))
    store.images.tag(Reference.parse("app:2"), Descriptor(MEDIA_MANIFEST, store.blobs.put(b"{}"), 3))
    path = store.root / "index.json"
    document = json.loads(path.read_bytes())
    document["manifests"].append(document["manifests"][0])
    path.write_text(json.dumps(document))
    problems = check(store)
    assert any("is not there" in problem for problem in problems)
    assert any("has 2 bytes and not 3" in problem for problem in problems)
    assert any("twice" in problem for problem in problems)


def test_index_without_end(store: Store) -> None:
    """Indexes within indexes are followed only so far."""
    inner = _blob(store, MEDIA_INDEX, b'{"manifests":[]}')
    for _ in range(6):
        inner = _blob(store, MEDIA_INDEX, json.dumps({"manifests": [_json(inner)]}).encode())
    store.images.tag(NAME, inner)
    (problem,) = check(store)
    assert "too deeply" in problem


def test_manifest_that_is_no_json(store: Store) -> None:
    """A named blob that is no document, and one that points at nonsense, are found."""
    store.images.tag(NAME, _blob(store, MEDIA_MANIFEST, b"not json"))
    store.images.tag(Reference.parse("app:2"), _blob(store, MEDIA_MANIFEST, b'{"layers":[{"digest":"../.."}]}'))
    assert len(check(store)) == 2
