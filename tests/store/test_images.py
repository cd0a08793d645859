"""Names of images in index.json."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from builder.errors import StoreError
from builder.store import Store
from builder.values.digest import Digest
from builder.values.image import MEDIA_MANIFEST, Descriptor
from builder.values.platform import Platform
from builder.values.reference import Reference

NAME = Reference.parse("app:1")

_INDEX_SCHEMA = {
    "type": "object",
    "required": ["schemaVersion", "manifests"],
    "properties": {
        "schemaVersion": {"const": 2},
        "mediaType": {"const": "application/vnd.oci.image.index.v1+json"},
        "manifests": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["mediaType", "size", "digest"],
                "properties": {"annotations": {"type": "object", "additionalProperties": {"type": "string"}}},
            },
        },
    },
}

_TAGGER = """
import sys
from pathlib import Path
from builder.store import Store
from builder.values.digest import Digest
from builder.values.image import MEDIA_MANIFEST, Descriptor
from builder.values.reference import Reference
with Store.open(Path(sys.argv[1])) as store:
    for number in range(50):
        manifest = Descriptor(MEDIA_MANIFEST, Digest.of(b"%d" % number), number)
        store.images.tag(Reference.parse(f"{sys.argv[2]}:{number}"), manifest)
"""


def _manifest(data: bytes = b"m") -> Descriptor:
    return Descriptor(MEDIA_MANIFEST, Digest.of(data), len(data))


def test_tag_is_found(store: Store) -> None:
    """A name leads to its manifest, with platform and annotations as they were given."""
    manifest = Descriptor(MEDIA_MANIFEST, Digest.of(b"m"), 1, (("a", "b"),), Platform("linux", "arm64"))
    before = time.time()
    store.images.tag(NAME, manifest)
    assert store.images.find(NAME) == manifest
    (image,) = store.images.all()
    assert image.name == "docker.io/library/app:1"
    assert before - 1 < image.created_s < time.time() + 1


def test_name_moves(store: Store) -> None:
    """A name that is given again leaves its old manifest, and stands in the file once."""
    store.images.tag(NAME, _manifest(b"1"))
    store.images.tag(NAME, _manifest(b"2"))
    assert [image.manifest for image in store.images.all()] == [_manifest(b"2")]


def test_a_name_given_again_writes_nothing(store: Store) -> None:
    """The latest name keeps its time and the file stays; one that is not the latest becomes it."""
    index = store.root / "index.json"
    store.images.tag(Reference.parse("app:0"), _manifest())
    store.images.tag(NAME, _manifest())
    before = index.stat()
    store.images.tag(NAME, _manifest())
    assert index.stat() == before
    store.images.tag(Reference.parse("app:0"), _manifest())
    assert max(store.images.all(), key=lambda image: image.created_s).name.endswith("app:0")


def test_one_manifest_has_several_names(store: Store) -> None:
    """Two names for a manifest are two entries."""
    store.images.tag(NAME, _manifest())
    store.images.tag(Reference.parse("app:2"), _manifest())
    assert store.images.find(NAME) == store.images.find(Reference.parse("app:2")) == _manifest()


def test_untag(store: Store) -> None:
    """A name can be forgotten; the others stay."""
    store.images.tag(NAME, _manifest())
    store.images.tag(Reference.parse("app:2"), _manifest())
    assert store.images.untag(NAME)
    assert not store.images.untag(NAME)
    assert [image.name for image in store.images.all()] == ["docker.io/library/app:2"]


def test_file_is_an_oci_index(store: Store) -> None:
    """index.json is a valid image index with the annotation that other tools look for."""
    store.images.tag(NAME, _manifest())
    document = json.loads((store.root / "index.json").read_bytes())
    jsonschema.validate(document, _INDEX_SCHEMA)
    assert document["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] == "docker.io/library/app:1"
    assert document["manifests"][0]["annotations"]["io.containerd.image.name"] == "docker.io/library/app:1"


def test_entries_of_others_are_kept(store: Store) -> None:
    """What another tool wrote into index.json survives our changes, even what we cannot read."""
    strange = [{"mediaType": "x/y", "digest": "sha512:00", "size": 1}, {"odd": True}]
    (store.root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": strange}))
    store.images.tag(NAME, _manifest())
    assert json.loads((store.root / "index.json").read_bytes())["manifests"][:2] == strange
    assert [image.manifest for image in store.images.all()] == [_manifest()]


@pytest.mark.parametrize("data", [b"", b"[]", b'{"manifests":5}', b"\0" * 50])
def test_damaged_index_is_plain_and_kept(store: Store, data: bytes) -> None:
    """A damaged index.json is reported with what to do, and never overwritten: it holds people's names."""
    (store.root / "index.json").write_bytes(data)
    with pytest.raises(StoreError, match=r"index\.json is damaged") as caught:
        store.images.tag(NAME, _manifest())
    assert caught.value.hint
    assert (store.root / "index.json").read_bytes() == data


def test_odd_time_is_no_time(store: Store) -> None:
    """A time that is no number does not hinder reading the name."""
    store.images.tag(NAME, _manifest())
    text = (store.root / "index.json").read_text()
    document = json.loads(text)
    document["manifests"][0]["annotations"]["pybuild.tagged-at"] = "yesterday"
    (store.root / "index.json").write_text(json.dumps(document))
    assert store.images.all()[0].created_s == 0


def test_two_processes_lose_no_name(tmp_path: Path) -> None:
    """Two processes that tag fifty names each at the same time lose none."""
    with Store.open(tmp_path / "s"):
        pass
    taggers = [subprocess.Popen([sys.executable, "-c", _TAGGER, str(tmp_path / "s"), name]) for name in ("a", "b")]
    assert [tagger.wait() for tagger in taggers] == [0, 0]
    with Store.open(tmp_path / "s") as store:
        assert len({image.name for image in store.images.all()}) == 100
