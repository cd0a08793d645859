"""OCI layouts in a directory."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import ImageError, StoreError
from builder.oci.layout import LayoutSource, write_layout
from builder.oci.source import ignore_progress
from builder.values.digest import Digest
from builder.values.image import MEDIA_INDEX, Descriptor
from builder.values.reference import Reference
from tests.oci.images import AMD64, ARM64, Sample, as_json, sample
from tests.oci.schemas import check_schema

APP = (Reference.parse("localhost:5000/team/app:1"),)


def blobs_in(directory: Path, made: Sample) -> Callable[[Digest], Path]:
    """Write a sample's blobs and give the way to them."""
    made.write_blobs(directory)
    return lambda digest: directory / digest.hex


@pytest.fixture
def made() -> Sample:
    """An image of three layers."""
    return sample()


@pytest.fixture
def layout(tmp_path: Path, made: Sample) -> Path:
    """A layout with that image as tag 1."""
    write_layout(tmp_path / "layout", made.image, blobs_in(tmp_path / "blobs", made), APP)
    return tmp_path / "layout"


def entries(layout: Path) -> list[dict[str, object]]:
    """What index.json lists."""
    listed: list[dict[str, object]] = json.loads((layout / "index.json").read_bytes())["manifests"]
    return listed


def tags(layout: Path) -> list[str]:
    """The tags in index.json, in its order."""
    return [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries(layout)]  # type: ignore[index]


def test_what_is_written_reads_back(tmp_path: Path, layout: Path, made: Sample) -> None:
    """The same image, its documents and its layers."""
    source = LayoutSource(layout, "1")
    assert source.load(AMD64) == made.image
    assert dict(source.documents(made.image))[made.image.manifest.digest] == made.blobs[made.image.manifest.digest]
    for number, layer in enumerate(made.image.layers):
        source.fetch(layer.descriptor, tmp_path / "out", ignore_progress)
        assert (tmp_path / "out").read_bytes() == made.layer_bytes(number)


def test_the_files_fit_the_schemas_and_carry_buildxs_annotations(layout: Path) -> None:
    """oci-layout and index.json are as the specification and buildx have them."""
    check_schema((layout / "oci-layout").read_bytes(), "image-layout-schema.json")
    check_schema((layout / "index.json").read_bytes(), "image-index-schema.json")
    (entry,) = entries(layout)
    assert entry["annotations"] == {
        "io.containerd.image.name": "localhost:5000/team/app:1",
        "org.opencontainers.image.ref.name": "1",
    }
    assert entry["platform"] == {"architecture": "amd64", "os": "linux"}


def test_nothing_but_the_layout_is_there(layout: Path, made: Sample) -> None:
    """No temporary file stays, and every blob is there once."""
    assert sorted(os.listdir(layout)) == ["blobs", "index.json", "oci-layout"]
    assert sorted(os.listdir(layout / "blobs/sha256")) == sorted(digest.hex for digest in made.blobs)


def test_other_tags_are_kept_and_the_same_tag_is_replaced(tmp_path: Path, layout: Path, made: Sample) -> None:
    """A second image under another name stands beside the first; under its name it takes its place."""
    other = sample(ARM64)
    path = blobs_in(tmp_path / "blobs", other)
    write_layout(layout, other.image, path, (Reference.parse("app:2"),))
    assert tags(layout) == ["1", "2"]
    assert LayoutSource(layout, "1").load(AMD64) == made.image
    write_layout(layout, other.image, path, APP)
    assert sorted(tags(layout)) == ["1", "2"]
    assert LayoutSource(layout, "1").load(ARM64) == other.image


def test_one_tag_in_two_repositories_is_one_entry(tmp_path: Path, made: Sample) -> None:
    """`-t a:1 -t b:1` gives one entry named 1: readers that look for a tag must find exactly one."""
    names = tuple(Reference.parse(name) for name in ("a:1", "b:1", "a:2"))
    write_layout(tmp_path / "layout", made.image, blobs_in(tmp_path / "blobs", made), names)
    assert tags(tmp_path / "layout") == ["1", "2"]


def test_an_image_without_a_name_is_listed_once(tmp_path: Path, made: Sample) -> None:
    """Written twice without a tag it has one entry, and is found as the only image."""
    for _ in range(2):
        write_layout(tmp_path / "layout", made.image, blobs_in(tmp_path / "blobs", made), ())
    assert len(entries(tmp_path / "layout")) == 1
    assert LayoutSource(tmp_path / "layout", None).load(AMD64) == made.image


def test_two_writers_do_not_lose_a_tag(tmp_path: Path, made: Sample) -> None:
    """Builds that finish at the same moment both end up in index.json."""
    path = blobs_in(tmp_path / "blobs", made)
    threads = [
        threading.Thread(
            target=write_layout, args=(tmp_path / "l", made.image, path, (Reference.parse(f"app:{number}"),))
        )
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(tags(tmp_path / "l")) == [str(number) for number in range(8)]


def test_what_a_killed_build_left_is_cleared_away(layout: Path, tmp_path: Path, made: Sample) -> None:
    """Temporary files of a process that died go with the next write, and do not make a directory look used."""
    name = ".index.json.0123456789ab.pybuild-tmp"
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    for path in (layout / name, layout / "blobs/sha256" / name, fresh / name):
        path.write_bytes(b"half")
    for directory in (layout, fresh):
        write_layout(directory, made.image, blobs_in(tmp_path / "blobs", made), APP)
        assert sorted(os.listdir(directory)) == ["blobs", "index.json", "oci-layout"]
        assert name not in os.listdir(directory / "blobs/sha256")


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path, made: Sample) -> None:
    """A destination that is somebody's home is not turned into a layout."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("dear")
    with pytest.raises(StoreError, match="not empty and not an OCI layout"):
        write_layout(tmp_path / "home", made.image, blobs_in(tmp_path / "blobs", made), APP)
    assert os.listdir(tmp_path / "home") == ["letter"]


def test_a_damaged_index_is_not_overwritten(layout: Path, tmp_path: Path, made: Sample) -> None:
    """What cannot be read may still hold somebody's tags."""
    (layout / "index.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        write_layout(layout, made.image, blobs_in(tmp_path / "blobs", made), APP)
    assert (layout / "index.json").read_text() == "{"


def test_a_missing_blob_leaves_the_old_index(layout: Path, tmp_path: Path) -> None:
    """index.json changes last, so a failure in between shows nowhere."""
    before = (layout / "index.json").read_bytes()
    with pytest.raises(StoreError, match="missing in the store"):
        write_layout(layout, sample(ARM64).image, lambda digest: tmp_path / "none" / digest.hex, APP)
    assert (layout / "index.json").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("oci-layout", b'{"imageLayoutVersion":"2.0.0"}', "layout of version '2.0.0'"),
        ("oci-layout", None, "is not an OCI layout"),
        ("index.json", None, "index.json is missing"),
        ("index.json", b"{}", "does not look like one|is a manifest"),
        ("index.json", b"[" * 100, "not valid JSON"),
        ("index.json", b" " * (9 << 20), "over 8 MiB"),
    ],
)
def test_a_broken_layout_is_explained(layout: Path, name: str, content: bytes | None, words: str) -> None:
    """Each file that may be missing or wrong has its sentence."""
    (layout / name).unlink()
    if content is not None:
        (layout / name).write_bytes(content)
    with pytest.raises(ImageError, match=words):
        LayoutSource(layout, "1").load(AMD64)


@pytest.mark.parametrize("damage", [b"", b"{}", b"x" * 5000])
def test_a_damaged_document_is_found(layout: Path, made: Sample, damage: bytes) -> None:
    """A manifest or config that has not its digest is never parsed."""
    for descriptor in (made.image.config_descriptor, made.image.manifest):
        blob = layout / "blobs/sha256" / descriptor.digest.hex
        blob.unlink()
        blob.write_bytes(damage)
        with pytest.raises(ImageError, match=f"oci:{layout}:1: blob {descriptor.digest} is (damaged|truncated)"):
            LayoutSource(layout, "1").load(AMD64)


def test_a_damaged_layer_leaves_no_file(layout: Path, tmp_path: Path, made: Sample) -> None:
    """A layer whose bytes changed, or that is missing, is found while it is copied."""
    layer = made.image.layers[0].descriptor
    blob = layout / "blobs/sha256" / layer.digest.hex
    data = bytearray(blob.read_bytes())
    data[20] ^= 1
    blob.unlink()
    with pytest.raises(ImageError, match="does not exist"):
        LayoutSource(layout, "1").fetch(layer, tmp_path / "out", ignore_progress)
    blob.write_bytes(data)
    with pytest.raises(ImageError, match="is damaged: what arrived is sha256:"):
        LayoutSource(layout, "1").fetch(layer, tmp_path / "out", ignore_progress)
    assert not (tmp_path / "out").exists()


def test_a_blob_that_is_a_link_to_a_device_is_refused(layout: Path, tmp_path: Path, made: Sample) -> None:
    """A layout from a stranger may hold anything; only regular files are read."""
    layer = made.image.layers[0].descriptor
    blob = layout / "blobs/sha256" / layer.digest.hex
    blob.unlink()
    blob.symlink_to("/dev/zero")
    with pytest.raises(ImageError, match="not a regular file"):
        LayoutSource(layout, "1").fetch(layer, tmp_path / "out", ignore_progress)


def test_an_index_in_the_layout_is_followed(layout: Path, made: Sample) -> None:
    """A multi-platform image is an index among the blobs."""
    point = made.image.manifest
    fields = {"mediaType": point.media_type, "digest": str(point.digest), "size": point.size}
    inner = as_json(
        {"schemaVersion": 2, "manifests": [{**fields, "platform": {"os": "linux", "architecture": "amd64"}}]}
    )
    (layout / "blobs/sha256" / Digest.of(inner).hex).write_bytes(inner)
    top = Descriptor(MEDIA_INDEX, Digest.of(inner), len(inner))
    outer = {"mediaType": top.media_type, "digest": str(top.digest), "size": top.size}
    (layout / "index.json").write_bytes(as_json({"schemaVersion": 2, "manifests": [outer]}))
    assert LayoutSource(layout, None).load(AMD64) == made.image
    with pytest.raises(ImageError, match="no image for linux/arm64"):
        LayoutSource(layout, None).load(ARM64)
