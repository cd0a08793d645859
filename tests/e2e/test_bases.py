"""Every kind of base that the README names, built upon by the command and read back."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.registry import push, skopeo
from tests.support.bases import LayoutWriter
from tests.support.command import Pybuild
from tests.support.images import ReadImage, read_layout
from tests.support.tars import layer

pytestmark = [pytest.mark.kernel, pytest.mark.clients]


def built_on(pybuild: Pybuild, base: str, lines: str = "RUN echo done >/done", *words: str) -> ReadImage:
    """Build a step on the base; the image."""
    pybuild.write("Buildfile", f"FROM {base}\n{lines}\n")
    pybuild.run("-o", "type=oci,dest=layout", *words, ".")
    return read_layout(pybuild.room / "layout")


def assert_whole(image: ReadImage) -> None:
    """The shell of the base, its config, and what the step made."""
    done, shell = image.node("/done"), image.node("/bin/busybox")
    assert done is not None and done.content == b"done\n"
    assert shell is not None and shell.info.mode & 0o777 == 0o755
    assert any(pair.startswith("PATH=") for pair in image.config["config"]["Env"])


def shell_layer(bases: Path) -> bytes:
    """The uncompressed layer of the busybox base."""
    index = json.loads((bases / "busybox" / "index.json").read_text())["manifests"][0]
    manifest = json.loads((bases / "busybox/blobs/sha256" / index["digest"][7:]).read_text())
    return gzip.decompress((bases / "busybox/blobs/sha256" / manifest["layers"][0]["digest"][7:]).read_bytes())


def test_scratch(pybuild: Pybuild) -> None:
    """Nothing but what is copied."""
    pybuild.write("file", "x")
    image = built_on(pybuild, "scratch", "COPY file /")
    assert sorted(image.files) == ["file"] and len(image.layers) == 1


def test_a_registry_by_tag_and_digest(pybuild: Pybuild, registry: str) -> None:
    """A tag, a digest, and both together give the same image."""
    found = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{registry}/busybox:latest"))["Digest"]
    images = []
    for name in (":latest", "", f"@{found}", f":latest@{found}"):
        shutil.rmtree(pybuild.room / "layout", ignore_errors=True)
        images.append(built_on(pybuild, f"{registry}/busybox{name}"))
        assert_whole(images[-1])
    assert len({image.diff_ids[0] for image in images}) == 1


def test_a_tag_is_asked_for_again_with_pull(pybuild: Pybuild, registry: str, tmp_path: Path) -> None:
    """Without --pull the image that was pulled is used, as docker does; with it the registry is asked."""
    name = f"{registry}/moving:1"
    for number in (1, 2):
        writer = LayoutWriter(tmp_path / str(number))
        kind = "application/vnd.oci.image.layer.v1.tar"
        tar = layer([{"path": f"version{number}", "type": "file", "content": ""}])
        writer.finish([writer.image("linux/amd64", {}, [(tar, kind)])])
    push(f"oci:{tmp_path / '1'}:latest", name)
    pybuild.write("Buildfile", f"FROM {name}\n")
    first = pybuild.run("-q", ".").out
    push(f"oci:{tmp_path / '2'}:latest", name)
    assert pybuild.run("-q", ".").out == first
    assert pybuild.run("-q", "--pull", ".").out != first


@pytest.mark.parametrize("form", ["v2s2", "oci"])
def test_manifests_of_both_kinds(pybuild: Pybuild, registry: str, bases: Path, form: str) -> None:
    """Docker schema 2 is read like OCI; the image that is built is OCI."""
    push(f"oci:{bases / 'busybox'}:latest", f"{registry}/{form}:1", "--format", form)
    assert_whole(built_on(pybuild, f"{registry}/{form}:1"))
    index = json.loads((pybuild.room / "layout/index.json").read_text())["manifests"][0]
    manifest = json.loads((pybuild.room / "layout/blobs/sha256" / index["digest"][7:]).read_text())
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert all(
        each["mediaType"].startswith("application/vnd.oci.") for each in (manifest["config"], *manifest["layers"])
    )


@pytest.mark.parametrize("form", ["v2s2", "oci"])
def test_lists_of_both_kinds(pybuild: Pybuild, registry: str, tmp_path: Path, form: str) -> None:
    """Of a list the image for this machine is taken, of --platform the one that was asked for."""
    writer = LayoutWriter(tmp_path / "many")
    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    rows = {name: layer([{"path": "arch", "type": "file", "content": name}]) for name in ("amd64", "arm64", "s390x")}
    writer.finish([writer.image(f"linux/{name}", {}, [(tar, kind)]) for name, tar in rows.items()])
    name = f"{registry}/list-{form}:1"
    push(f"oci:{tmp_path / 'many'}:latest", name, "--all", "--format", form)
    for words, expected in (((), "amd64"), (("--platform", "linux/s390x"), "s390x")):
        shutil.rmtree(pybuild.room / "layout", ignore_errors=True)
        image = built_on(pybuild, name, "ENV A=b", *words)
        node = image.node("/arch")
        assert node is not None and node.content.decode() == expected == image.config["architecture"]


@pytest.mark.parametrize("suffix", ["", "+gzip", "+zstd"])
def test_compressions(pybuild: Pybuild, registry: str, bases: Path, tmp_path: Path, suffix: str) -> None:
    """Plain, gzip and zstd layers are unpacked, and kept as they are in what is built on them."""
    writer = LayoutWriter(tmp_path / "base")
    kind = f"application/vnd.oci.image.layer.v1.tar{suffix}"
    writer.finish([writer.image("linux/amd64", {"Env": ["PATH=/bin"]}, [(shell_layer(bases), kind)])])
    name = f"{registry}/compressed{suffix.replace('+', '-')}:1"
    push(f"oci:{tmp_path / 'base'}:latest", name, "--preserve-digests")
    assert_whole(built_on(pybuild, name))
    index = json.loads((pybuild.room / "layout/index.json").read_text())["manifests"][0]
    manifest = json.loads((pybuild.room / "layout/blobs/sha256" / index["digest"][7:]).read_text())
    assert manifest["layers"][0]["mediaType"] == kind


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive"])
@pytest.mark.parametrize("tag", ["", ":latest"])
def test_images_on_disk(pybuild: Pybuild, bases: Path, transport: str, tag: str) -> None:
    """Directories and archives, with the tag and without; a relative path starts where the command does."""
    target = "here/base" + ("" if transport == "oci" else ".tar")
    (pybuild.room / "here").mkdir()
    name = ":localhost/base:latest" if transport == "docker-archive" else ":latest"
    skopeo("copy", "-q", f"oci:{bases / 'busybox'}:latest", f"{transport}:{pybuild.room / target}{name}")
    written = f":localhost/base{tag}" if transport == "docker-archive" and tag else tag
    assert_whole(built_on(pybuild, f"{transport}:{target}{written}"))


@pytest.mark.parametrize("how", ["directory", "tar", "gzip", "bzip2", "xz", "zstd"])
def test_root_file_systems(pybuild: Pybuild, bases: Path, how: str) -> None:
    """A directory, or a tar of any compression, is a base of one layer."""
    (pybuild.room / "rootfs").mkdir()
    (pybuild.room / "plain.tar").write_bytes(shell_layer(bases))
    subprocess.run(["tar", "-C", "rootfs", "-xf", "plain.tar"], cwd=pybuild.room, check=True)
    base = "./rootfs"
    if how != "directory":
        option = [] if how == "tar" else [f"--{how}"]
        subprocess.run(["tar", "-C", "rootfs", *option, "-cf", "root.tar", "."], cwd=pybuild.room, check=True)
        base = "rootfs:root.tar"
    image = built_on(pybuild, base, "ENV PATH=/bin\nRUN echo done >/done")
    assert_whole(image)
    assert len(image.layers) == 2


def test_an_image_built_before(pybuild: Pybuild, busybox: str) -> None:
    """By its tag, however it is spelt; nothing is asked of a registry."""
    pybuild.write("Buildfile", f"FROM {busybox}\nRUN echo before >/before\n")
    pybuild.run("-t", "mine:1", ".")
    for name in ("mine:1", "docker.io/library/mine:1"):
        pybuild.write("Buildfile", f"FROM {name}\nRUN cat /before >/done\n")
        assert "CACHED" not in pybuild.run("-t", "next:1", "--no-cache", ".").err
    pybuild.write("Buildfile", "FROM next:1\nCOPY --from=mine:1 /before /again\n")
    pybuild.run("-o", "type=oci,dest=layout", ".")
    node = read_layout(pybuild.room / "layout").node("/again")
    assert node is not None and node.content == b"before\n"


def test_an_earlier_stage(pybuild: Pybuild, busybox: str) -> None:
    """By name and by number, as base and as source."""
    lines = "RUN echo one >/one\nFROM first AS second\nRUN cat /one >/two\nFROM second\n"
    lines += "COPY --from=0 /one /three\nRUN echo done >/done"
    image = built_on(pybuild, f"{busybox} AS first", lines)
    assert_whole(image)
    assert {"one", "two", "three", "done"} <= set(image.files)


def test_build_context_instead_of_a_base(pybuild: Pybuild, busybox: str) -> None:
    """--build-context puts another image in the place of a name that nobody could pull."""
    assert_whole(
        built_on(
            pybuild,
            "nosuch.invalid/base:1",
            "RUN echo done >/done",
            "--build-context",
            f"nosuch.invalid/base:1={busybox}",
        )
    )
