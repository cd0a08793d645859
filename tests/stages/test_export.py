"""Layers and config become an image: documents, names, outputs in directories, files and streams."""

from __future__ import annotations

import calendar
import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from builder.errors import ImageError, StoreError
from builder.stages.export import timestamp
from builder.values.event import Exported, ImageReady
from builder.values.output import OciArchiveOutput, OciOutput, Stream
from builder.values.platform import Platform
from builder.values.reference import Reference
from tests.stages.builds import GZIP, Bench, base, content, row
from tests.support.bases import LayoutWriter
from tests.support.command import Pybuild
from tests.support.images import read_layout
from tests.support.tars import layer

BUILDFILE = "FROM scratch\nCOPY f /f\nENV A=1\n"


@pytest.fixture
def one(bench: Bench) -> Bench:
    """A context with the file of BUILDFILE."""
    bench.file("f", "text")
    return bench


def test_the_config(one: Bench) -> None:
    """It has the platform, the author, when it was made, and a history that fits the layers."""
    before = int(time.time())
    image = one.build(f"{BUILDFILE}MAINTAINER somebody\n")
    config = image.config
    assert (config["os"], config["author"]) == ("linux", "somebody")
    made = time.strptime(config["created"], "%Y-%m-%dT%H:%M:%SZ")
    assert before <= _seconds(made) <= time.time()
    lines = [(line["created_by"].split()[0], line.get("empty_layer", False)) for line in config["history"]]
    assert lines[0] == ("COPY", False) and all(empty for _, empty in lines[1:]) and len(lines) == 3


def _seconds(moment: time.struct_time) -> int:
    return calendar.timegm(moment)


def test_times_are_utc() -> None:
    """Times are written as RFC 3339 wants them, whatever the zone here is."""
    assert timestamp(0) == "1970-01-01T00:00:00Z" and timestamp(1_700_000_000) == "2023-11-14T22:13:20Z"


def test_the_same_build_is_the_same_image(one: Bench) -> None:
    """An image that a build makes again has the time of its first making; another image has its own."""
    first = one.build(BUILDFILE)
    time.sleep(1.1)
    assert one.build(BUILDFILE).digest == first.digest
    other = one.build(BUILDFILE + "ENV B=2\n")
    assert other.config["created"] > first.config["created"]


def test_the_history_of_stages_and_bases(one: Bench) -> None:
    """The base's lines come first, then those of every stage on the way."""
    one.build("FROM scratch\nCOPY f /base\n", tags=(Reference.parse("base"),))
    image = one.build("FROM base AS s\nENV A=1\nFROM s\nCOPY f /g\n")
    assert [line["created_by"].split()[0] for line in image.config["history"]] == ["COPY", "ENV", "COPY"]
    assert (content(image, "/base"), content(image, "/g")) == ("text", "text")


def test_a_base_whose_history_does_not_fit(one: Bench) -> None:
    """Its layers get a line each, so that ours fits."""
    writer = LayoutWriter(one.room / "odd")
    manifest = writer.image("linux/amd64", {}, [(layer([{"path": "a", "type": "dir"}]), GZIP)])
    blobs = one.room / "odd/blobs/sha256"
    document = json.loads((blobs / manifest["digest"][7:]).read_text())
    config = json.loads((blobs / document["config"]["digest"][7:]).read_text())
    config["history"] = []
    document["config"] = writer.blob(json.dumps(config).encode(), document["config"]["mediaType"])
    writer.finish([{**manifest, **writer.blob(json.dumps(document).encode(), document["mediaType"])}])
    image = one.build(f"FROM oci:{one.room / 'odd'}:latest\nCOPY f /f\n")
    assert len(image.config["history"]) == len(image.diff_ids) == 2


def test_names_and_events(one: Bench) -> None:
    """Every tag names the image, and people hear what it is called and how large it is."""
    image = one.build(BUILDFILE, tags=(Reference.parse("a:1"), Reference.parse("localhost:5000/b")))
    (ready,) = (event for event in one.events if isinstance(event, ImageReady))
    assert ready.names == ("a:1", "localhost:5000/b:latest") and str(ready.manifest) == image.digest
    assert ready.size > 0 and read_layout(one.root, "localhost:5000/b:latest").digest == image.digest


def test_a_tag_moves(one: Bench) -> None:
    """Built again with another content the name leads to the new image; the store stays sound."""
    first = one.build(BUILDFILE)
    one.file("f", "new")
    assert one.build(BUILDFILE).digest != first.digest and one.problems() == []


def _extract(tar: tarfile.TarFile, into: Path) -> None:
    for member in tar:
        reader = tar.extractfile(member)
        if reader is None:
            (into / member.name).mkdir(parents=True)
        else:
            (into / member.name).write_bytes(reader.read())


def test_a_directory_and_a_tar(one: Bench) -> None:
    """Both hold the image whole; a second image goes beside the first in the directory."""
    outputs = (OciOutput(one.room / "dir"), OciArchiveOutput(one.room / "out.tar"))
    image = one.build(BUILDFILE, outputs=outputs)
    assert [event.destination for event in one.events if isinstance(event, Exported)] == [
        str(output.destination) for output in outputs
    ]
    with tarfile.open(one.room / "out.tar") as tar:
        _extract(tar, one.room / "unpacked")
    for place in ("dir", "unpacked"):
        assert read_layout(one.room / place, "1").digest == image.digest
    one.build(BUILDFILE + "ENV B=1\n", outputs=outputs[:1], tags=(Reference.parse("app:2"),))
    assert read_layout(one.room / "dir", "1").digest == image.digest
    assert read_layout(one.room / "dir", "2").digest != image.digest


def test_a_stream(one: Bench) -> None:
    """With a descriptor the tar goes there and nowhere else; the descriptor stays the caller's."""
    with open(one.room / "caught", "w+b") as file:
        image = one.build(BUILDFILE, outputs=(OciArchiveOutput(Stream(file.fileno())),))
        file.seek(0)
        with tarfile.open(fileobj=io.BytesIO(file.read())) as tar:
            _extract(tar, one.room / "unpacked")
    assert read_layout(one.room / "unpacked").digest == image.digest
    assert not (one.room / "-").exists()


def test_a_stream_that_nobody_reads(one: Bench) -> None:
    """A reader that went away, and a full disk, are StoreErrors in plain words."""
    one.file("big", os.urandom(300_000))
    reader, writer = os.pipe()
    os.close(reader)
    error = one.fails(StoreError, "FROM scratch\nCOPY big /\n", outputs=(OciArchiveOutput(Stream(writer)),))
    os.close(writer)
    assert error.message == "standard output was closed before all of the image was written"
    with open("/dev/full", "wb") as full:
        error = one.fails(StoreError, "FROM scratch\nCOPY big /\n", outputs=(OciArchiveOutput(Stream(full.fileno())),))
    assert "standard output: No space left" in error.message and error.hint == "make room there"


def test_standard_output_of_the_command(one: Bench) -> None:
    """`-o type=oci,dest=-` writes the tar and nothing else; where nobody reads it, it fails."""
    pybuild = Pybuild(one.context, one.root)
    pybuild.write("Buildfile", BUILDFILE)
    words = pybuild.argv("-o", "type=oci,dest=-", "-t", "app:1", ".")
    done = subprocess.run(words, cwd=pybuild.room, env=pybuild.env(None), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        assert "index.json" in tar.getnames()
    with open("/dev/full", "wb") as full:
        done = subprocess.run(words, cwd=pybuild.room, env=pybuild.env(None), stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == StoreError.exit_code and b"No space left" in done.stderr


def test_an_output_that_cannot_be_written(one: Bench) -> None:
    """A directory that is something else is left alone; nothing half-written stays under a final name."""
    other = one.room / "other"
    other.mkdir()
    (other / "mine").write_text("x")
    assert "not empty" in one.fails(StoreError, BUILDFILE, outputs=(OciOutput(other),)).message
    assert os.listdir(other) == ["mine"]
    error = one.fails(StoreError, BUILDFILE, outputs=(OciArchiveOutput(Path("/proc/x.tar")),))
    assert "/proc/x.tar" in error.message


def test_the_platform_of_the_image(one: Bench) -> None:
    """An image for another platform says so in its config and in the index."""
    image = one.build(BUILDFILE, platform=Platform.parse("linux/arm/v6"))
    assert (image.config["architecture"], image.config["variant"]) == ("arm", "v6")
    (entry,) = json.loads((one.root / "index.json").read_text())["manifests"]
    assert entry["platform"]["architecture"] == "arm"


def test_nothing_is_named_before_it_is_whole(one: Bench) -> None:
    """An image whose base cannot give all of its layers gets no name and no output."""
    layout = base(one.room / "base", [[row("a", "1")]])
    index = json.loads((one.room / "base/index.json").read_text())
    blobs = one.room / "base/blobs/sha256"
    manifest = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_text())
    (blobs / manifest["layers"][0]["digest"][7:]).unlink()
    error = one.fails(ImageError, f"FROM {layout}\nENV A=1\n", outputs=(OciOutput(one.room / "out"),))
    assert "missing" in error.message and not (one.room / "out").exists()
    assert json.loads((one.root / "index.json").read_text())["manifests"] == []
