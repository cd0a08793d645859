"""`pybuild save`."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from builder.commands.arguments import read_media_types
from builder.commands.caller import Caller
from builder.commands.line import Line
from builder.commands.save import run
from builder.errors import ImageError, StoreError, UsageError
from builder.oci.archive import ArchiveSource
from builder.oci.docker_archive import DockerArchiveSource
from builder.stages.images import build_platform
from builder.store import Store
from builder.values.image import MEDIA_LAYER_GZIP
from builder.values.output import MediaTypes
from builder.values.reference import Reference
from tests.commands.built import build_into
from tests.commands.callers import caller
from tests.oci.images import sample
from tests.oci.rogue import running_rogue


def save(tmp_path: Path, *names: str, who: Caller | None = None, **options: str | None) -> int:
    """Save from the store below `tmp_path`."""
    values = {"name": names, "output": None, "format": None, "platform": None, "root": str(tmp_path / "store")}
    return run(Line({**values, **options}), who or caller(tmp_path))


def manifest_json(path: Path) -> list[dict[str, list[str] | None]]:
    """The archive's manifest.json."""
    with tarfile.open(path) as archive:
        member = archive.extractfile("manifest.json")
        assert member is not None
        found: list[dict[str, list[str] | None]] = json.loads(member.read())
        return found


def test_several_images_go_into_one_archive(tmp_path: Path) -> None:
    """Each under the names that were typed; one image with two names is there once."""
    digest = build_into(tmp_path / "store", tmp_path / "one", "app:1", "app:also", "app:third")
    (tmp_path / "two").mkdir()
    build_into(tmp_path / "store", tmp_path / "two", "other:2")
    assert save(tmp_path, "app:1", "docker.io/library/app:also", "store:other:2", output="a.tar") == 0
    names = ["docker.io/library/app:1", "docker.io/library/app:also", "docker.io/library/other:2"]
    assert [entry["RepoTags"] for entry in manifest_json(tmp_path / "a.tar")] == [names]
    assert str(ArchiveSource(tmp_path / "a.tar", "docker.io/library/app:1").load(build_platform()).manifest.digest) == (
        digest
    )


def test_an_image_by_its_digest_has_no_name_there(tmp_path: Path) -> None:
    """As docker does it: whoever asks for bytes gets bytes."""
    digest = build_into(tmp_path / "store", tmp_path / "one", "app:1")
    save(tmp_path, digest[7:19], output="a.tar")
    assert manifest_json(tmp_path / "a.tar")[0]["RepoTags"] is None


def test_standard_output_gets_the_archive(tmp_path: Path) -> None:
    """The same bytes as a file; and it may be named with -."""
    build_into(tmp_path / "store", tmp_path / "one", "app:1")
    save(tmp_path, "app:1", output="a.tar")
    for output in (None, "-"):
        with open(tmp_path / "b.tar", "w", encoding="utf-8") as out:
            save(tmp_path, "app:1", output=output, who=replace(caller(tmp_path), stdout=out))
        assert (tmp_path / "b.tar").read_bytes() == (tmp_path / "a.tar").read_bytes()


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_a_blob_that_the_store_lacks_is_fetched(tmp_path: Path) -> None:
    """From where the image was pulled, so that the archive is whole."""
    made = sample(media_types=(MEDIA_LAYER_GZIP,))
    with running_rogue() as rogue:
        rogue.serve("app", made)
        name = Reference.parse(f"{rogue.address}/app:1")
        with Store.open(tmp_path / "store") as store:
            for digest, data in made.blobs.items():
                assert digest == made.image.layers[0].descriptor.digest or store.blobs.put(data) == digest
            store.pulled.put(name, build_platform(), made.image.manifest)
            store.images.tag(name, made.image.manifest)
        save(tmp_path, str(name), output="a.tar", format="oci")
    assert ArchiveSource(tmp_path / "a.tar", str(name)).load(build_platform()).layers == made.image.layers


def test_a_terminal_is_spared(tmp_path: Path) -> None:
    """As docker does."""
    with pytest.raises(UsageError, match="not written to a terminal") as caught:
        save(tmp_path, "app:1", who=replace(caller(tmp_path), stdout=Terminal()))
    assert "-o FILE" in (caught.value.hint or "")


def test_the_oci_format_is_an_oci_archive(tmp_path: Path) -> None:
    """With nothing of docker's in it."""
    digest = build_into(tmp_path / "store", tmp_path / "one", "app:1")
    save(tmp_path, "app:1", output="a.tar", format="oci")
    assert str(ArchiveSource(tmp_path / "a.tar", "1").load(build_platform()).manifest.digest) == digest
    with pytest.raises(ImageError, match="no docker archive"):
        DockerArchiveSource(tmp_path / "a.tar", None).load(build_platform())


def test_formats_are_read() -> None:
    """podman's words for them too."""
    assert read_media_types(None) is None
    assert read_media_types("docker-archive") is MediaTypes.DOCKER
    assert read_media_types("oci") is MediaTypes.OCI
    with pytest.raises(UsageError, match="--format: 'zip' is not supported"):
        read_media_types("zip")


def test_a_platform_that_is_not_there(tmp_path: Path) -> None:
    """A lone image of another platform than was asked for is not saved for it."""
    build_into(tmp_path / "store", tmp_path / "one", "app:1")
    with pytest.raises(ImageError, match="there is no image for linux/s390x"):
        save(tmp_path, "app:1", output="a.tar", platform="linux/s390x")
    assert not (tmp_path / "a.tar").exists()


def test_what_cannot_be_saved_leaves_the_file_alone(tmp_path: Path) -> None:
    """A name that is not there, no store at all, a file that cannot be written."""
    with pytest.raises(ImageError, match="there is no image 'app:1' in the store"):
        save(tmp_path, "app:1", output="a.tar")
    build_into(tmp_path / "store", tmp_path / "one", "app:1")
    (tmp_path / "a.tar").write_bytes(b"old")
    with pytest.raises(ImageError, match="there is no image 'app:2'"):
        save(tmp_path, "app:1", "app:2", output="a.tar")
    assert (tmp_path / "a.tar").read_bytes() == b"old"
    with pytest.raises(StoreError, match="cannot write"):
        save(tmp_path, "app:1", output="one")
    with pytest.raises(UsageError, match="the file is empty"):
        save(tmp_path, "app:1", output="")
