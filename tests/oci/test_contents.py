"""All images of an archive or a layout."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.archive import NamedImage, write_archive_of
from builder.oci.contents import Packed, contents_of
from builder.oci.docker_save import write_docker_archive_of
from builder.oci.layout import write_layout
from builder.oci.manifest import write_index
from builder.values.digest import Digest
from builder.values.image import MEDIA_LAYER
from builder.values.reference import Reference
from tests.oci.images import AMD64, ARM64, Sample, as_json, sample, tar_of

ONE = sample()
TWO = sample(media_types=(MEDIA_LAYER,))
ARM = sample(ARM64)


def names(*texts: str) -> tuple[Reference, ...]:
    """References."""
    return tuple(Reference.parse(text) for text in texts)


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    """The blobs of all samples."""
    for made in (ONE, TWO, ARM):
        made.write_blobs(tmp_path / "blobs")
    return tmp_path / "blobs"


def found(path: Path) -> dict[Digest, tuple[str, ...]]:
    """The configs of the images there, with their names."""
    images = {}
    for packed in contents_of(path, "it", AMD64, None):
        image = packed.source.load(AMD64)
        images[image.config_descriptor.digest] = packed.names_of(image)
    return images


def config_of(made: Sample) -> Digest:
    """What a sample is known by in any kind of archive."""
    return made.image.config_descriptor.digest


def test_every_image_of_a_docker_archive(tmp_path: Path, blobs: Path) -> None:
    """With all of its names; one without names too; compressed or not."""
    images = (NamedImage(ONE.image, names("a:1", "b:1")), NamedImage(TWO.image, ()))
    write_docker_archive_of(tmp_path / "a.tar", images, lambda digest: blobs / digest.hex)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress((tmp_path / "a.tar").read_bytes()))
    full = ("docker.io/library/a:1", "docker.io/library/b:1")
    for path in (tmp_path / "a.tar", tmp_path / "a.tar.gz"):
        assert found(path) == {config_of(ONE): full, config_of(TWO): ()}


def test_an_archive_that_is_both_keeps_the_manifest(tmp_path: Path, blobs: Path) -> None:
    """The OCI layout in it is what counts."""
    write_docker_archive_of(
        tmp_path / "a.tar", (NamedImage(ONE.image, names("a:1")),), lambda digest: blobs / digest.hex
    )
    (packed,) = contents_of(tmp_path / "a.tar", "it", AMD64, None)
    assert packed.source.load(AMD64) == ONE.image


def hybrid(tmp_path: Path, tags: list[str] | None, config: str) -> Path:
    """An archive whose index.json has no names."""
    files = {f"blobs/sha256/{digest.hex}": data for digest, data in TWO.blobs.items()}
    layer = f"blobs/sha256/{TWO.image.layers[0].descriptor.digest.hex}"
    files["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    files["index.json"] = write_index([TWO.image.manifest])
    files["manifest.json"] = as_json([{"Config": config, "RepoTags": tags, "Layers": [layer]}])
    (tmp_path / "h.tar").write_bytes(tar_of(files))
    return tmp_path / "h.tar"


def test_names_of_manifest_json_are_taken_where_the_layout_has_none(tmp_path: Path) -> None:
    """They belong to the image with that config."""
    config = config_of(TWO)
    assert found(hybrid(tmp_path, ["app:1"], f"blobs/sha256/{config.hex}")) == {config: ("app:1",)}
    assert found(hybrid(tmp_path, ["app:1"], "other.json")) == {config: ()}
    assert found(hybrid(tmp_path, None, f"blobs/sha256/{config.hex}")) == {config: ()}


def test_the_old_docker_archive_alone(tmp_path: Path) -> None:
    """As podman and skopeo write it: no layout in it."""
    config = config_of(TWO)
    layer = f"{TWO.image.layers[0].diff_id.hex}.tar"
    files = {f"{config.hex}.json": TWO.blobs[config], layer: TWO.layer_bytes()}
    files["manifest.json"] = as_json([{"Config": f"{config.hex}.json", "RepoTags": ["app:1"], "Layers": [layer]}])
    (tmp_path / "d.tar").write_bytes(tar_of(files))
    assert found(tmp_path / "d.tar") == {config: ("app:1",)}


def test_a_layout_gives_its_images_by_their_whole_names(tmp_path: Path, blobs: Path) -> None:
    """A directory; a lone tag is no name, because nothing says of what."""
    write_layout(tmp_path / "l", ONE.image, lambda digest: blobs / digest.hex, names("localhost/app:1"))
    write_layout(tmp_path / "l", TWO.image, lambda digest: blobs / digest.hex, ())
    index = json.loads((tmp_path / "l" / "index.json").read_text())
    index["manifests"][1]["annotations"] = {"org.opencontainers.image.ref.name": "2"}
    (tmp_path / "l" / "index.json").write_text(json.dumps(index))
    assert found(tmp_path / "l") == {config_of(ONE): ("localhost/app:1",), config_of(TWO): ()}


def test_several_platforms_under_one_name_are_one_image(tmp_path: Path, blobs: Path) -> None:
    """That for the platform asked for; without any name too."""
    for texts in (("app:1",), ()):
        images = (NamedImage(ARM.image, names(*texts)), NamedImage(ONE.image, names(*texts)))
        write_archive_of(tmp_path / "a.tar", images, lambda digest: blobs / digest.hex)
        assert list(found(tmp_path / "a.tar")) == [config_of(ONE)]


def test_a_name_for_other_platforms_only_is_told(tmp_path: Path, blobs: Path) -> None:
    """Two of them, and none that fits."""
    other = replace(ONE.image, config=replace(ONE.image.config, platform=replace(AMD64, architecture="s390x")))
    images = (NamedImage(ARM.image, names("app:1")), NamedImage(other, names("app:1")))
    write_archive_of(tmp_path / "a.tar", images, lambda digest: blobs / digest.hex)
    with pytest.raises(ImageError, match="it: there is no image for linux/amd64"):
        contents_of(tmp_path / "a.tar", "it", AMD64, None)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"x": b""}, "it is no archive of images"),
        ({"manifest.json": b"[]"}, "it: there is no image in it"),
        ({"manifest.json": b"{"}, "it: .*not valid"),
        ({"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": write_index([])}, "there is no image in it"),
        ({"oci-layout": b"{}", "index.json": b"{}"}, "version"),
    ],
)
def test_what_holds_no_image_is_one_line(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    """Whatever is missing or wrong."""
    (tmp_path / "a.tar").write_bytes(tar_of(files))
    with pytest.raises(ImageError, match=words):
        contents_of(tmp_path / "a.tar", "it", AMD64, None)


def test_what_is_no_tar_is_one_line(tmp_path: Path) -> None:
    """Text, nothing at all, and what is not there."""
    for data in (b"hello\n" * 200, b""):
        (tmp_path / "a.tar").write_bytes(data)
        with pytest.raises(ImageError, match="it "):
            contents_of(tmp_path / "a.tar", "it", AMD64, None)
    with pytest.raises(ImageError, match="does not exist"):
        contents_of(tmp_path / "none", "it", AMD64, None)


def test_names_are_given_as_they_stand(tmp_path: Path) -> None:
    """Judging them is left to who uses them."""
    path = hybrid(tmp_path, ["../../etc/passwd", "\x1b[2J:1"], f"blobs/sha256/{config_of(TWO).hex}")
    (packed,) = contents_of(path, "it", AMD64, None)
    assert isinstance(packed, Packed)
    assert packed.names_of(packed.source.load(AMD64)) == ("../../etc/passwd", "\x1b[2J:1")
