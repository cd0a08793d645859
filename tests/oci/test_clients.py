"""What we write, read by the clients that people use. Each test skips where its client is not installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.oci.archive import ArchiveSource, write_archive
from builder.oci.docker_archive import DockerArchiveSource
from builder.oci.layout import LayoutSource, write_layout
from builder.values.image import MEDIA_LAYER_GZIP, Healthcheck, RunConfig
from builder.values.reference import Reference
from tests.oci.images import AMD64, Sample, sample
from tests.registry import skopeo

pytestmark = pytest.mark.clients

NAMES = (Reference.parse("localhost/app:1"), Reference.parse("localhost/app:latest"))
RUN = RunConfig(
    env=(("PATH", "/bin"), ("GREETING", "hello world")),
    entrypoint=("/file0",),
    working_dir="/srv",
    labels=(("maintainer", "me"),),
    exposed_ports=("80/tcp",),
    volumes=("/data",),
    user="1000",
    stop_signal="SIGINT",
    healthcheck=Healthcheck(("CMD", "/file0"), interval_ns=5_000_000_000),
)


@pytest.fixture
def made() -> Sample:
    """An image with gzip layers: what all of the clients read."""
    return sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER_GZIP), run_config=RUN)


@pytest.fixture
def layout(tmp_path: Path, made: Sample) -> Path:
    """That image in a layout."""
    made.write_blobs(tmp_path / "blobs")
    write_layout(tmp_path / "layout", made.image, lambda digest: tmp_path / "blobs" / digest.hex, NAMES)
    return tmp_path / "layout"


@pytest.fixture
def archive(tmp_path: Path, made: Sample) -> Path:
    """That image in an archive, with one tag: of two, podman 4 asks to choose."""
    made.write_blobs(tmp_path / "blobs")
    write_archive(tmp_path / "image.tar", made.image, lambda digest: tmp_path / "blobs" / digest.hex, NAMES[:1])
    return tmp_path / "image.tar"


def client(name: str, *arguments: str) -> str:
    """Run a client and give what it printed."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def storage() -> Iterator[list[str]]:
    """A podman and buildah storage of its own, with a short path and no overlay."""
    directory = tempfile.mkdtemp(prefix="pbst-")
    try:
        yield ["--root", f"{directory}/root", "--runroot", f"{directory}/run", "--storage-driver", "vfs"]
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def test_skopeo_reads_the_layout(layout: Path, made: Sample) -> None:
    """The digest and the config that it shows are ours, under each of the tags."""
    for tag in ("1", "latest"):
        assert json.loads(skopeo("inspect", f"oci:{layout}:{tag}"))["Digest"] == str(made.image.manifest.digest)
    config = json.loads(skopeo("inspect", "--config", f"oci:{layout}:1"))["config"]
    assert config["Env"] == ["PATH=/bin", "GREETING=hello world"]
    assert config["ExposedPorts"] == {"80/tcp": {}}


def test_skopeo_reads_the_archive(archive: Path, made: Sample) -> None:
    """The same from the tar."""
    assert json.loads(skopeo("inspect", f"oci-archive:{archive}:1"))["Digest"] == str(made.image.manifest.digest)


def test_umoci_unpacks_the_layout(layout: Path, tmp_path: Path) -> None:
    """Rootless, with the files of every layer."""
    client("umoci", "unpack", "--rootless", "--image", f"{layout}:1", str(tmp_path / "bundle"))
    assert sorted(os.listdir(tmp_path / "bundle" / "rootfs")) == ["file0", "file1"]
    stat = json.loads(client("umoci", "stat", "--json", "--image", f"{layout}:1"))
    assert [line["created_by"] for line in stat["history"]] == ["layer 0", "layer 1"]


def test_umocis_layout_takes_our_image(tmp_path: Path, layout: Path, made: Sample) -> None:
    """A layout that another tool began is added to, and that tool still finds its own tag."""
    other = tmp_path / "other"
    client("umoci", "init", "--layout", str(other))
    client("umoci", "new", "--image", f"{other}:theirs")
    write_layout(other, made.image, lambda digest: layout / "blobs/sha256" / digest.hex, NAMES[:1])
    assert client("umoci", "list", "--layout", str(other)).split() == ["theirs", "1"]
    assert LayoutSource(other, "1").load(AMD64) == made.image
    assert LayoutSource(other, "theirs").load(AMD64).layers == ()


@pytest.mark.parametrize("program", ["podman", "buildah"])
def test_podman_and_buildah_pull_the_layout(layout: Path, storage: list[str], program: str, made: Sample) -> None:
    """The image's id there is the digest of our config."""
    pulled = client(program, *storage, "pull", "-q", f"oci:{layout}:1")
    assert pulled.strip() == made.image.config_descriptor.digest.hex


def test_podman_loads_the_archive_and_saves_what_we_read(
    archive: Path, storage: list[str], tmp_path: Path, made: Sample
) -> None:
    """`podman load` takes our tar; its own OCI and docker archives are read here, with the same config."""
    client("podman", *storage, "load", "-i", str(archive))
    name = made.image.config_descriptor.digest.hex
    for kind, source in (
        ("oci-archive", ArchiveSource(tmp_path / "oci-archive.tar", None)),
        ("docker-archive", DockerArchiveSource(tmp_path / "docker-archive.tar", None)),
    ):
        client("podman", *storage, "save", "--format", kind, "-o", str(tmp_path / f"{kind}.tar"), name)
        image = source.load(AMD64)
        assert image.config.diff_ids == made.image.config.diff_ids
        assert image.config.config.entrypoint == RUN.entrypoint
        for layer in image.layers:
            source.fetch(layer.descriptor, tmp_path / "layer", lambda _: None)
