"""Docker archives that we write, read by our own reader, by Python's tarfile and (marker clients) by other tools."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.oci.archive import ArchiveSource, NamedImage
from builder.oci.contents import contents_of
from builder.oci.docker_archive import DockerArchiveSource
from builder.oci.docker_save import write_docker_archive, write_docker_archive_of
from builder.oci.source import ignore_progress
from builder.values.digest import Digest
from builder.values.image import MEDIA_LAYER, MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD
from builder.values.reference import Reference
from tests.oci.images import AMD64, ARM64, Sample, sample
from tests.oci.schemas import check_schema
from tests.oci.test_clients import client
from tests.oci.test_clients import storage as storage
from tests.registry import skopeo

NAMES = (Reference.parse("app:1"), Reference.parse("localhost:5000/team/app:1"))


@pytest.fixture
def made() -> Sample:
    """An image of three layers: gzip, zstd and plain."""
    return sample()


@pytest.fixture
def blob_path(tmp_path: Path, made: Sample) -> Callable[[Digest], Path]:
    """Where its blobs are."""
    made.write_blobs(tmp_path / "blobs")
    return lambda digest: tmp_path / "blobs" / digest.hex


def manifest_json(stream: io.BytesIO) -> list[dict[str, object]]:
    """The archive's manifest.json."""
    stream.seek(0)
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        member = archive.extractfile("manifest.json")
        assert member is not None
        found: list[dict[str, object]] = json.loads(member.read())
        return found


def test_it_reads_back_as_both_kinds(tmp_path: Path, made: Sample, blob_path: Callable[[Digest], Path]) -> None:
    """As a docker archive by any of its names, and as an OCI archive with the very manifest."""
    write_docker_archive(tmp_path / "a.tar", made.image, blob_path, NAMES)
    for name in ("app:1", "docker.io/library/app:1", "localhost:5000/team/app:1"):
        source = DockerArchiveSource(tmp_path / "a.tar", name)
        image = source.load(AMD64)
        assert image.config == made.image.config
        assert [layer.descriptor for layer in image.layers] == [layer.descriptor for layer in made.image.layers]
        for number, layer in enumerate(image.layers):
            source.fetch(layer.descriptor, tmp_path / "out", ignore_progress)
            assert (tmp_path / "out").read_bytes() == made.layer_bytes(number)
    for name in ("docker.io/library/app:1", "localhost:5000/team/app:1"):
        assert ArchiveSource(tmp_path / "a.tar", name).load(AMD64) == made.image


def test_names_are_in_full_and_once(made: Sample, blob_path: Callable[[Digest], Path]) -> None:
    """So that nobody takes them for others; a name given twice is there once, one without a tag cannot be there."""
    stream = io.BytesIO()
    digest_only = Reference("docker.io", "library/app", None, made.image.manifest.digest)
    write_docker_archive(stream, made.image, blob_path, (*NAMES, NAMES[0], digest_only))
    assert manifest_json(stream)[0]["RepoTags"] == ["docker.io/library/app:1", "localhost:5000/team/app:1"]


def test_an_image_without_names_has_no_tags(made: Sample, blob_path: Callable[[Digest], Path]) -> None:
    """RepoTags is null, as docker writes it."""
    stream = io.BytesIO()
    write_docker_archive(stream, made.image, blob_path, ())
    assert manifest_json(stream)[0]["RepoTags"] is None


def test_the_same_image_gives_the_same_bytes(tmp_path: Path, made: Sample, blob_path: Callable[[Digest], Path]) -> None:
    """To a file or to a stream."""
    stream = io.BytesIO()
    write_docker_archive(stream, made.image, blob_path, NAMES)
    write_docker_archive(tmp_path / "a.tar", made.image, blob_path, NAMES)
    assert (tmp_path / "a.tar").read_bytes() == stream.getvalue()


def test_several_images_share_an_archive(tmp_path: Path, made: Sample, blob_path: Callable[[Digest], Path]) -> None:
    """Each is found by its name, and a shared blob is in the tar once."""
    other = sample(ARM64)
    other.write_blobs(tmp_path / "blobs")
    again = NamedImage(made.image, (Reference.parse("again:3"),))
    images = (NamedImage(made.image, NAMES), NamedImage(other.image, (Reference.parse("other:2"),)), again)
    write_docker_archive_of(tmp_path / "a.tar", images, blob_path)
    assert DockerArchiveSource(tmp_path / "a.tar", "app:1").load(AMD64).config == made.image.config
    assert DockerArchiveSource(tmp_path / "a.tar", "other:2").load(AMD64).config == other.image.config
    with tarfile.open(tmp_path / "a.tar") as archive:
        names = archive.getnames()
    assert len(names) == len(set(names))


def loadable(tmp_path: Path, *images: NamedImage, made: tuple[Sample, ...]) -> Path:
    """An archive of these."""
    for each in made:
        each.write_blobs(tmp_path / "blobs")
    write_docker_archive_of(tmp_path / "a.tar", images, lambda digest: tmp_path / "blobs" / digest.hex)
    return tmp_path / "a.tar"


@pytest.mark.clients
@pytest.mark.parametrize("media_type", [MEDIA_LAYER, MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD])
def test_skopeo_reads_it_by_name(tmp_path: Path, media_type: str) -> None:
    """The config and every layer, as a docker archive and, with the digest, as an OCI archive."""
    made = sample(media_types=(media_type, media_type))
    path = loadable(tmp_path, NamedImage(made.image, NAMES), made=(made,))
    for name in (":app:1", ":localhost:5000/team/app:1", ""):
        skopeo("copy", f"docker-archive:{path}{name}", f"dir:{tmp_path}/out")
        assert (tmp_path / "out" / made.image.config_descriptor.digest.hex).exists()
        layers = json.loads((tmp_path / "out" / "manifest.json").read_text())["layers"]
        assert len(layers) == 2
    one = loadable(tmp_path, NamedImage(made.image, NAMES[:1]), made=(made,))
    inspected = json.loads(skopeo("inspect", f"oci-archive:{one}:1"))
    assert inspected["Digest"] == str(made.image.manifest.digest)


@pytest.mark.clients
@pytest.mark.parametrize("media_type", [MEDIA_LAYER, MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD])
def test_podman_loads_it(tmp_path: Path, media_type: str, storage: list[str]) -> None:
    """Under all of its names, with our config's digest for its id."""
    made = sample(media_types=(media_type, media_type))
    for count in (2, 1):
        path = loadable(tmp_path, NamedImage(made.image, NAMES[:count]), made=(made,))
        client("podman", *storage, "load", "-q", "-i", str(path))
        for name in ("docker.io/library/app:1", "localhost:5000/team/app:1")[:count]:
            found = client("podman", *storage, "image", "inspect", "--format", "{{.Id}}", name)
            assert found.strip() == made.image.config_descriptor.digest.hex


@pytest.mark.clients
def test_podman_loads_several_images(tmp_path: Path, storage: list[str]) -> None:
    """All of them, of one archive."""
    made = (sample(media_types=(MEDIA_LAYER_GZIP,)), sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER)))
    images = [NamedImage(each.image, (Reference.parse(f"app:{n}"),)) for n, each in enumerate(made)]
    client("podman", *storage, "load", "-q", "-i", str(loadable(tmp_path, *images, made=made)))
    for number, each in enumerate(made):
        name = f"docker.io/library/app:{number}"
        found = client("podman", *storage, "image", "inspect", "--format", "{{.Id}}", name)
        assert found.strip() == each.image.config_descriptor.digest.hex


@pytest.mark.clients
def test_what_podman_and_skopeo_save_is_loaded(tmp_path: Path, storage: list[str]) -> None:
    """Docker and OCI archives, one image and several, with their names and the same files."""
    made = (sample(media_types=(MEDIA_LAYER_GZIP,)), sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD)))
    images = [NamedImage(each.image, (Reference.parse(f"app:{n}"),)) for n, each in enumerate(made)]
    client("podman", *storage, "load", "-q", "-i", str(loadable(tmp_path, *images, made=made)))
    names = [f"docker.io/library/app:{number}" for number in range(2)]
    podman = ["podman", *storage, "save", "-q"]
    client(*podman, "-m", "-o", str(tmp_path / "both"), *names)
    client(*podman, "-o", str(tmp_path / "docker"), names[0])
    client(*podman, "--format", "oci-archive", "-o", str(tmp_path / "oci"), names[0])
    client(*podman, "--format", "oci-dir", "-o", str(tmp_path / "layout"), names[0])
    skopeo("copy", f"docker-archive:{tmp_path}/a.tar:app:0", f"docker-archive:{tmp_path}/skopeo:{names[0]}")
    for kind in ("both", "docker", "oci", "layout", "skopeo"):
        found = contents_of(tmp_path / kind, kind, AMD64, None)
        assert len(found) == (2 if kind == "both" else 1)
        for packed, each in zip(found, made, strict=False):
            image = packed.source.load(AMD64)
            assert image.config.diff_ids == each.image.config.diff_ids, kind
            if kind not in ("oci", "layout"):
                assert packed.names_of(image) == (names[made.index(each)],)
            for layer in image.layers:
                packed.source.fetch(layer.descriptor, tmp_path / "layer", ignore_progress)


@pytest.mark.clients
def test_umoci_unpacks_its_layout(tmp_path: Path) -> None:
    """The tar spread out is an OCI layout like any other, and fits the schemas of the specification."""
    made = sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER_GZIP))
    path = loadable(tmp_path, NamedImage(made.image, NAMES[:1]), made=(made,))
    (tmp_path / "layout").mkdir()
    client("tar", "-xf", str(path), "-C", str(tmp_path / "layout"))
    client("umoci", "stat", "--image", f"{tmp_path}/layout:1")
    client("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/layout:1", str(tmp_path / "bundle"))
    assert sorted(path.name for path in (tmp_path / "bundle" / "rootfs").iterdir()) == ["file0", "file1"]
    check_schema((tmp_path / "layout" / "index.json").read_bytes(), "image-index-schema.json")
    check_schema((tmp_path / "layout" / "oci-layout").read_bytes(), "image-layout-schema.json")
