"""Archives that `docker save` and its kin write."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.docker_archive import DockerArchiveSource
from builder.oci.manifest import read_manifest
from builder.oci.source import ignore_progress
from builder.values.digest import Digest
from builder.values.image import MEDIA_LAYER, MEDIA_LAYER_GZIP, MEDIA_MANIFEST
from tests.oci.images import AMD64, Sample, as_json, sample, tar_of
from tests.registry import skopeo


def saved(made: Sample, tag: str = "app:1") -> dict[str, bytes]:
    """The members of a legacy archive of a sample with plain layers."""
    config = made.image.config_descriptor.digest
    names = [f"{layer.diff_id.hex}/layer.tar" for layer in made.image.layers]
    files = {f"{config.hex}.json": made.blobs[config]}
    files |= {name: made.blobs[layer.descriptor.digest] for name, layer in zip(names, made.image.layers, strict=True)}
    files["manifest.json"] = as_json([{"Config": f"{config.hex}.json", "RepoTags": [tag], "Layers": names}])
    return files


def source_of(tmp_path: Path, files: dict[str, bytes], tag: str | None = None) -> DockerArchiveSource:
    """A source over an archive of these files."""
    (tmp_path / "a.tar").write_bytes(tar_of(files))
    return DockerArchiveSource(tmp_path / "a.tar", tag)


PLAIN = sample(media_types=(MEDIA_LAYER, MEDIA_LAYER))


def test_a_legacy_archive_is_read(tmp_path: Path) -> None:
    """Plain layers have their diff-id as digest; config, layers and the manifest that is made agree."""
    source = source_of(tmp_path, saved(PLAIN))
    image = source.load(AMD64)
    assert image.config == PLAIN.image.config
    assert [layer.descriptor.digest.hex for layer in image.layers] == [d.hex for d in image.config.diff_ids]
    (manifest_digest, manifest), (config_digest, config) = source.documents(image)
    assert Digest.of(manifest) == manifest_digest == image.manifest.digest
    assert Digest.of(config) == config_digest == PLAIN.image.config_descriptor.digest
    assert read_manifest(manifest, MEDIA_MANIFEST).layers == tuple(layer.descriptor for layer in image.layers)
    for number, layer in enumerate(image.layers):
        source.fetch(layer.descriptor, tmp_path / "out", ignore_progress)
        assert (tmp_path / "out").read_bytes() == PLAIN.layer_bytes(number)


@pytest.mark.parametrize("tag", ["app:1", "1", "docker.io/library/app:1", None])
def test_an_image_is_found_by_its_tag(tmp_path: Path, tag: str | None) -> None:
    """The tag as saved, alone, or as a full name; or no tag where there is one image."""
    assert source_of(tmp_path, saved(PLAIN), tag).load(AMD64).config == PLAIN.image.config


def test_since_docker_25_layers_are_blobs_and_may_be_compressed(tmp_path: Path) -> None:
    """Members named blobs/sha256/… with gzip layers; the name is the digest, and is verified."""
    made = sample(media_types=(MEDIA_LAYER_GZIP,))
    files = {f"blobs/sha256/{digest.hex}": data for digest, data in made.blobs.items()}
    layer, config = made.image.layers[0].descriptor, made.image.config_descriptor
    entry = {"Config": f"blobs/sha256/{config.digest.hex}", "Layers": [f"blobs/sha256/{layer.digest.hex}"]}
    files["manifest.json"] = as_json([{**entry, "RepoTags": None}])
    source = source_of(tmp_path, files)
    image = source.load(AMD64)
    assert image.layers == made.image.layers
    source.fetch(layer, tmp_path / "out", ignore_progress)
    assert (tmp_path / "out").read_bytes() == made.layer_bytes()


def test_a_compressed_layer_without_a_digest_in_its_name_gets_one(tmp_path: Path) -> None:
    """Its bytes are hashed when the archive is loaded."""
    files = saved(PLAIN)
    name = f"{PLAIN.image.config.diff_ids[0].hex}/layer.tar"
    files[name] = gzip.compress(files[name])
    source = source_of(tmp_path, files)
    layer = source.load(AMD64).layers[0]
    assert layer.descriptor.digest == Digest.of(files[name])
    assert layer.descriptor.media_type == MEDIA_LAYER_GZIP
    source.fetch(layer.descriptor, tmp_path / "out", ignore_progress)


def test_skopeos_archive_is_read(tmp_path: Path) -> None:
    """What a real client writes, with its links and legacy members."""
    (tmp_path / "in.tar").write_bytes(tar_of(saved(PLAIN)))
    skopeo("copy", f"docker-archive:{tmp_path}/in.tar", f"docker-archive:{tmp_path}/out.tar:localhost/app:2")
    source = DockerArchiveSource(tmp_path / "out.tar", "localhost/app:2")
    image = source.load(AMD64)
    assert image.config.diff_ids == PLAIN.image.config.diff_ids
    for layer in image.layers:
        source.fetch(layer.descriptor, tmp_path / "layer", ignore_progress)


def test_a_damaged_layer_is_found(tmp_path: Path) -> None:
    """A layer that has not its diff-id leaves no file."""
    files = saved(PLAIN)
    name = f"{PLAIN.image.config.diff_ids[0].hex}/layer.tar"
    files[name] = files[name].replace(b"amd64", b"xxxxx")
    source = source_of(tmp_path, files)
    layer = source.load(AMD64).layers[0].descriptor
    with pytest.raises(ImageError, match="is damaged"):
        source.fetch(layer, tmp_path / "out", ignore_progress)
    assert not (tmp_path / "out").exists()


def changed(**fields: object) -> dict[str, bytes]:
    """The archive with fields of manifest.json replaced."""
    files = saved(PLAIN)
    config = PLAIN.image.config_descriptor.digest
    names = [f"{diff_id.hex}/layer.tar" for diff_id in PLAIN.image.config.diff_ids]
    entry = {"Config": f"{config.hex}.json", "RepoTags": ["app:1"], "Layers": names}
    return {**files, "manifest.json": as_json([{**entry, **fields}])}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no docker archive"),
        ({"repositories": b"{}"}, "no docker archive"),
        ({"manifest.json": b"{}"}, "not a list of objects"),
        ({"manifest.json": b"[]"}, "no such image"),
        ({"manifest.json": as_json([{}] * 1001)}, "lists 1001 images"),
        (changed(Config=None), "has no 'Config'"),
        (changed(Config="../../../etc/passwd"), "not in it"),
        (changed(Config="0" * 64 + ".json"), "not in it"),
        (changed(Layers=[]), "0 layers, but 2 in the config"),
        (changed(Layers=["../../etc/passwd", "x"]), "'../../etc/passwd' is not in it"),
        (changed(Layers="x"), "'Layers' is not a list"),
        ({**saved(PLAIN), f"{PLAIN.image.config_descriptor.digest.hex}.json": b"{}"}, "truncated|damaged"),
    ],
)
def test_a_broken_archive_is_explained(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    """Each part that may be missing or wrong has its sentence, with the archive's name in front."""
    with pytest.raises(ImageError, match=words) as caught:
        source_of(tmp_path, files).load(AMD64)
    assert caught.value.message.startswith(f"docker-archive:{tmp_path}")


def test_several_images_need_a_tag(tmp_path: Path) -> None:
    """The hint lists what there is."""
    files = saved(PLAIN)
    entry = {"Config": "x.json", "RepoTags": ["app:1"], "Layers": []}
    files["manifest.json"] = as_json([entry, {**entry, "RepoTags": ["app:2"]}])
    for tag, words in ((None, "several images"), ("app:3", "no such image")):
        with pytest.raises(ImageError, match=words) as caught:
            source_of(tmp_path, files, tag).load(AMD64)
        assert caught.value.hint == "the tags there are: app:1, app:2"
