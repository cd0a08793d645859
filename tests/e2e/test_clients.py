"""What the command writes, read by the tools that people have: podman, buildah, skopeo, umoci, and OCI's schemas."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.oci.schemas import check_schema
from tests.registry import push, skopeo
from tests.support.command import Pybuild

pytestmark = [pytest.mark.kernel, pytest.mark.clients]

BUILDFILE = """
FROM {base}
ENV GREETING="hello you"
WORKDIR /srv
COPY Buildfile tree/
RUN echo made >made && chown 1000:33 made && ln made again && rm /bin/yes
USER app
EXPOSE 80
VOLUME /data
LABEL one=two
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD true
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["echo $GREETING; id -u; pwd"]
"""


@dataclass(frozen=True)
class Outputs:
    """One image in the three forms in which it can be had."""

    store: Path
    layout: Path
    archive: Path
    digest: str


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory, busybox: str) -> Iterator[Outputs]:
    """The image, built once into a layout and an archive."""
    room = tmp_path_factory.mktemp("outputs")
    pybuild = Pybuild(room, room / "store")
    pybuild.write("Buildfile", BUILDFILE.format(base=busybox))
    words = ("-o", "type=oci,dest=layout", "-o", "type=oci,dest=image.tar", "-t", "localhost/app:1", "-q", ".")
    yield Outputs(pybuild.store, room / "layout", room / "image.tar", pybuild.run(*words).out.strip())
    pybuild.run("unshare", "rm", "-rf", str(pybuild.store))


@pytest.fixture
def storage() -> Iterator[list[str]]:
    """A storage for podman and buildah: its own, without overlay, below a short path."""
    directory = tempfile.mkdtemp(prefix="pbcl-")
    yield ["--root", f"{directory}/root", "--runroot", f"{directory}/run", "--storage-driver", "vfs"]
    subprocess.run(["buildah", "unshare", "rm", "-rf", directory], check=True, timeout=60)


def client(*words: str) -> str:
    """Run somebody else's program and give what it printed."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def config_digest(layout: Path) -> str:
    """What podman and buildah take for the image's id."""
    index = json.loads((layout / "index.json").read_text())["manifests"][0]
    manifest = json.loads((layout / "blobs/sha256" / index["digest"][7:]).read_text())
    return str(manifest["config"]["digest"][7:])


def test_podman_loads_the_archive(outputs: Outputs, storage: list[str]) -> None:
    """`podman load` knows the name; the config is what the Buildfile says."""
    assert "localhost/app:1" in client("podman", *storage, "load", "-i", str(outputs.archive))
    (shown,) = json.loads(client("podman", *storage, "image", "inspect", "localhost/app:1"))
    assert shown["Id"] == config_digest(outputs.layout)
    assert shown["Config"]["Env"][-1] == "GREETING=hello you"
    assert shown["Config"]["Entrypoint"] == ["/bin/sh", "-c"] and shown["User"] == "app"


def test_podman_pulls_the_layout_and_the_store(outputs: Outputs, storage: list[str]) -> None:
    """The store is a layout like the one that was written."""
    for source in (f"oci:{outputs.layout}:1", f"oci:{outputs.store}:localhost/app:1"):
        assert client("podman", *storage, "pull", "-q", source).strip() == config_digest(outputs.layout)


def test_buildah_builds_on_it(outputs: Outputs, storage: list[str]) -> None:
    """`buildah from oci:` and a command run in it, as its user."""
    name = client("buildah", *storage, "from", f"oci:{outputs.layout}:1").strip()
    ran = client("buildah", *storage, "run", "--isolation", "chroot", name, "--", "sh", "-c", "id -u; cat made; pwd")
    assert ran.split() == ["1000", "made", "/srv"]


def test_skopeo_copies_everywhere(outputs: Outputs, registry: str, tmp_path: Path) -> None:
    """To a registry with the same digest, and from there to a docker-archive."""
    push(f"oci:{outputs.layout}:1", f"{registry}/ours:1", "--preserve-digests")
    shown = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{registry}/ours:1"))
    assert shown["Digest"] == outputs.digest
    target = f"docker-archive:{tmp_path}/docker.tar:app:1"
    skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{registry}/ours:1", target)
    with tarfile.open(tmp_path / "docker.tar") as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None and json.load(manifest)[0]["RepoTags"] == ["docker.io/library/app:1"]


@pytest.mark.parametrize("form", ["layout", "archive", "store"])
def test_umoci_unpacks(outputs: Outputs, tmp_path: Path, form: str) -> None:
    """Files, links and what was removed are as the image has them."""
    image = f"{outputs.layout}:1"
    if form == "archive":
        (tmp_path / "unpacked").mkdir()
        client("tar", "-C", str(tmp_path / "unpacked"), "-xf", str(outputs.archive))
        image = f"{tmp_path / 'unpacked'}:1"
    if form == "store":  # umoci takes no colon in a tag
        skopeo("copy", "-q", f"oci:{outputs.store}:localhost/app:1", f"oci:{tmp_path / 'copied'}:1")
        image = f"{tmp_path / 'copied'}:1"
    client("umoci", "unpack", "--rootless", "--image", image, str(tmp_path / "bundle"))
    root = tmp_path / "bundle" / "rootfs"
    assert (root / "srv/made").read_text() == "made\n"
    assert (root / "srv/made").stat().st_ino == (root / "srv/again").stat().st_ino
    assert (root / "srv/tree/Buildfile").exists() and not (root / "bin/yes").exists()
    subprocess.run(["chmod", "-R", "u+rwx", str(tmp_path / "bundle")], check=True)


def test_documents_validate(outputs: Outputs) -> None:
    """index, manifest and config hold to the image specification's JSON schemas."""
    blobs = outputs.layout / "blobs/sha256"
    index = (outputs.layout / "index.json").read_bytes()
    manifest = (blobs / json.loads(index)["manifests"][0]["digest"][7:]).read_bytes()
    check_schema(index, "image-index-schema.json")
    check_schema(manifest, "image-manifest-schema.json")
    check_schema((blobs / config_digest(outputs.layout)).read_bytes(), "config-schema.json")
    check_schema((outputs.layout / "oci-layout").read_bytes(), "image-layout-schema.json")


def test_the_archive_is_the_layout(outputs: Outputs, tmp_path: Path) -> None:
    """The tar holds the same files with the same bytes, and its index names the same manifest."""
    client("tar", "-C", str(tmp_path), "-xf", str(outputs.archive))
    for path in outputs.layout.rglob("*"):
        if path.is_file():
            assert (tmp_path / path.relative_to(outputs.layout)).read_bytes() == path.read_bytes(), path
