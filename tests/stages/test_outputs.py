"""Where the image of a build goes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import ImageError, StoreError
from builder.store import Store
from builder.values.compression import Compression
from builder.values.digest import Digest
from builder.values.event import PUSHED, Exported, Transfer
from builder.values.image import MEDIA_LAYER_ZSTD, MEDIA_MANIFEST
from builder.values.output import (
    DockerOutput,
    ImageOptions,
    ImageOutput,
    LocalOutput,
    OciArchiveOutput,
    OciOutput,
    PushBy,
    PushOutput,
    Stream,
    TarOutput,
)
from builder.values.platform import Platform
from builder.values.reference import Reference
from tests.registry import free_port, running_registry
from tests.stages.builds import NAME, Bench, base, row
from tests.support.images import read_layout

BUILDFILE = "FROM scratch\nCOPY f /d/f\n"


@pytest.fixture
def one(bench: Bench) -> Bench:
    """A context with the file of BUILDFILE."""
    bench.file("f", "text")
    return bench


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty registry."""
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


def told(bench: Bench) -> list[tuple[str, str]]:
    """What was written where, as it was told."""
    return [(event.kind, event.destination) for event in bench.events if isinstance(event, Exported)]


def names_in(data: bytes) -> list[str]:
    """The members of a tar."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


def test_all_at_once_in_their_order(one: Bench) -> None:
    """Each output is written and told of, the first first."""
    room = one.room
    one.build(
        BUILDFILE,
        outputs=(
            TarOutput(room / "files.tar"),
            LocalOutput(room / "files"),
            DockerOutput(room / "docker.tar"),
            OciArchiveOutput(room / "oci.tar"),
            OciOutput(room / "oci"),
        ),
    )
    kinds = ["tar of files", "files", "docker archive", "OCI archive", "OCI layout"]
    places = ["files.tar", "files", "docker.tar", "oci.tar", "oci"]
    assert told(one) == [(kind, str(room / place)) for kind, place in zip(kinds, places, strict=True)]
    assert names_in((room / "files.tar").read_bytes()) == ["d", "d/f"]
    assert (room / "files/d/f").read_text() == "text"
    assert "manifest.json" in names_in((room / "docker.tar").read_bytes())
    assert "index.json" in names_in((room / "oci.tar").read_bytes())
    assert read_layout(room / "oci", "1").files.keys() >= {"d/f"}


def test_names_of_an_output(one: Bench) -> None:
    """They are beside those of -t, in that output alone; those of an image are in the store."""
    more = (Reference.parse("more:2"),)
    one.build(BUILDFILE, outputs=(OciOutput(one.room / "oci", more), ImageOutput((Reference.parse("kept:3"),))))
    tags = [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in _index(one.room / "oci")]
    assert tags == ["1", "2"]
    with Store.open(one.root) as store:
        assert {image.name.rpartition("/")[2] for image in store.images.all()} == {"app:1", "kept:3"}


def _index(layout: Path) -> list[dict[str, dict[str, str]]]:
    entries: list[dict[str, dict[str, str]]] = json.loads((layout / "index.json").read_text())["manifests"]
    return entries


def test_an_image_with_options_is_what_the_store_names(one: Bench) -> None:
    """type=image with a compression gives the names in the store to that image."""
    one.build(BUILDFILE, outputs=(ImageOutput((), ImageOptions(Compression.ZSTD)),))
    assert one.result is not None
    assert [layer.descriptor.media_type for layer in one.result.image.layers] == [MEDIA_LAYER_ZSTD]
    assert read_layout(one.root, str(NAME)).digest == str(one.result.image.manifest.digest)
    assert one.problems() == []


def test_a_directory_for_the_platform(one: Bench) -> None:
    """With platform-split the files are in a directory called after it."""
    one.build(
        BUILDFILE, outputs=(LocalOutput(one.room / "out", by_platform=True),), platform=Platform.parse("linux/arm/v7")
    )
    assert (one.room / "out/linux_arm_v7/d/f").read_text() == "text"


def test_special_files_are_told_of(one: Bench) -> None:
    """One note says how many were left out, and where they could be had."""
    origin = base(one.room / "base", [[{"path": "pipe", "type": "fifo"}, row("a", "1")]])
    one.build(f"FROM {origin}\n", outputs=(LocalOutput(one.room / "out"), TarOutput(one.room / "out.tar")))
    assert one.notes == [f"1 named pipe left out of {one.room / 'out'}: special files are only in type=tar"]
    assert os.listdir(one.room / "out") == ["a"] and "pipe" in names_in((one.room / "out.tar").read_bytes())


@pytest.mark.parametrize("kind", [TarOutput, DockerOutput, OciArchiveOutput])
def test_streams(one: Bench, kind: type[TarOutput | DockerOutput | OciArchiveOutput]) -> None:
    """Each kind of file goes to a descriptor as it is; a full disk behind it is said in plain words."""
    with open(one.room / "caught", "w+b") as file:
        one.build(BUILDFILE, outputs=(kind(Stream(file.fileno())),))
        one.build(BUILDFILE, outputs=(kind(one.room / "file"),))
        file.seek(0)
        assert file.read() == (one.room / "file").read_bytes()
    with open("/dev/full", "wb") as full:
        error = one.fails(StoreError, BUILDFILE, outputs=(kind(Stream(full.fileno())),))
    assert "standard output: No space left" in error.message


def test_a_pipe_by_its_name(one: Bench) -> None:
    """What is a pipe or a device is written to and not replaced, such as /dev/stdout."""
    pipe = one.room / "pipe"
    os.mkfifo(pipe)
    caught: list[bytes] = []
    reader = threading.Thread(target=lambda: caught.append(pipe.read_bytes()))
    reader.start()
    one.build(BUILDFILE, outputs=(TarOutput(pipe),))
    reader.join()
    assert names_in(caught[0]) == ["d", "d/f"] and pipe.is_fifo()
    assert "/dev/full: No space" in one.fails(StoreError, BUILDFILE, outputs=(TarOutput(Path("/dev/full")),)).message


def test_a_tar_that_fails_is_not_there(one: Bench) -> None:
    """The old file stays, nothing is half-written under the name or beside it."""
    target = one.room / "out.tar"
    target.write_text("old")
    one.build(BUILDFILE)
    assert one.result is not None
    blob = one.root / "blobs/sha256" / one.result.image.layers[0].descriptor.digest.hex
    blob.chmod(0o600)
    data = bytearray(blob.read_bytes())
    data[20:60] = bytes(40)
    blob.write_bytes(data)
    one.fails(StoreError, BUILDFILE, outputs=(TarOutput(target),))
    assert target.read_text() == "old" and [each.name for each in one.room.iterdir() if "tmp" in each.name] == []


def test_a_push(one: Bench, registry: str) -> None:
    """The image is in the registry under all names, with the digest that is told; it is named in the store too.

    A name without a registry is the store's alone.
    """
    names = tuple(Reference.parse(f"{registry}/team/app:{tag}") for tag in ("1", "2"))
    bare = Reference.parse("app:1")
    one.build(BUILDFILE, tags=(bare, names[0]), outputs=(PushOutput(names[1:]),))
    assert one.result is not None
    digest = one.result.image.manifest.digest
    sent = [event for event in one.events if isinstance(event, Exported)]
    assert sent == [Exported(PUSHED, str(name), digest) for name in names]
    assert any(isinstance(event, Transfer) and event.verb == "push" for event in one.events)
    assert read_layout(one.root, str(bare)).digest == str(digest)
    for name in names:
        assert _digest(f"docker://{name}") == str(digest)
        assert read_layout(one.root, str(name)).digest == str(digest)


def test_a_push_in_another_form(one: Bench, registry: str) -> None:
    """What is pushed is what the name in the store then leads to."""
    name = Reference.parse(f"{registry}/zstd:1")
    one.build(BUILDFILE, tags=(name,), outputs=(PushOutput((), ImageOptions(Compression.ZSTD)),))
    assert one.result is not None and _digest(f"docker://{name}") == str(one.result.image.manifest.digest)
    assert read_layout(one.root, str(name)).digest == str(one.result.image.manifest.digest)


def test_a_push_by_digest(one: Bench, registry: str) -> None:
    """The registry knows the image by its digest alone, as an index that is made later wants it."""
    name = Reference.parse(f"{registry}/bydigest")
    one.build(BUILDFILE, tags=(name,), outputs=(PushOutput((), by=PushBy.DIGEST),))
    assert one.result is not None
    digest = one.result.image.manifest.digest
    assert Digest.of(_manifest(registry, str(digest))) == digest
    with pytest.raises(urllib.error.HTTPError):
        _manifest(registry, "latest")


def _manifest(registry: str, reference: str) -> bytes:
    url = f"http://{registry}/v2/bydigest/manifests/{reference}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": MEDIA_MANIFEST})) as answer:
        data: bytes = answer.read()
    return data


def test_a_push_that_fails(one: Bench) -> None:
    """The image is built and named all the same, and the error says so."""
    name = Reference.parse(f"127.0.0.1:{free_port()}/app:1")
    error = one.fails(ImageError, BUILDFILE, tags=(name,), outputs=(PushOutput(),))
    assert f"the image is built and in the store: pybuild push {name}" in (error.hint or "")
    assert read_layout(one.root, str(name)).digest and one.problems() == []


def _digest(name: str) -> str:
    words = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", name]
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout.strip()
