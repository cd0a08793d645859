"""Docker archives that we write, read by our own reader, by Python's tarfile and (marker clients) by other tools."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.oci.archive import ArchiveSource, NamedImage
from builder.oci.docker_archive import DockerArchiveSource
from builder.oci.docker_save import write_docker_archive, write_docker_archive_of
from builder.oci.source import ignore_progress
from builder.values.digest import Digest
from builder.values.reference import Reference
from tests.oci.images import AMD64, ARM64, Sample, sample

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


def test_names_are_familiar_and_once(made: Sample, blob_path: Callable[[Digest], Path]) -> None:
    """As docker prints them; a name given twice is there once, one without a tag cannot be there."""
    stream = io.BytesIO()
    digest_only = Reference("docker.io", "library/app", None, made.image.manifest.digest)
    write_docker_archive(stream, made.image, blob_path, (*NAMES, NAMES[0], digest_only))
    assert manifest_json(stream)[0]["RepoTags"] == ["app:1", "localhost:5000/team/app:1"]


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
