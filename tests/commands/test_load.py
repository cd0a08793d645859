"""`pybuild load`."""

from __future__ import annotations

import gzip
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from builder.commands.caller import Caller
from builder.commands.line import Line
from builder.commands.load import run
from builder.errors import ImageError, PybuildError, UsageError
from builder.oci.archive import NamedImage
from builder.oci.docker_save import write_docker_archive_of
from builder.oci.layout import write_layout
from builder.stages.images import build_platform
from builder.store import Store
from builder.values.image import MEDIA_LAYER
from builder.values.reference import Reference
from tests.commands.callers import caller, remarked, said
from tests.commands.test_save import Terminal
from tests.oci.images import as_json, sample, tar_of

ONE = sample(build_platform())
TWO = sample(build_platform(), (MEDIA_LAYER,))


def load(tmp_path: Path, source: str | None, who: Caller | None = None, quiet: bool = False) -> Caller:
    """Load into the store below `tmp_path`; whoever did it."""
    who = who or caller(tmp_path)
    values = {"input": source, "quiet": quiet, "platform": None, "root": str(tmp_path / "store")}
    assert run(Line(values), who) == 0
    return who


def names_in(tmp_path: Path) -> dict[str, str]:
    """The names of the store, and what they name."""
    with Store.open(tmp_path / "store") as store:
        return {image.name: str(image.manifest.digest) for image in store.images.all()}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two images, one with two names, one with none."""
    for made in (ONE, TWO):
        made.write_blobs(tmp_path / "blobs")
    names = (Reference.parse("app:1"), Reference.parse("localhost/app:2"))
    images = (NamedImage(ONE.image, names), NamedImage(TWO.image, ()))
    write_docker_archive_of(tmp_path / "a.tar", images, lambda digest: tmp_path / "blobs" / digest.hex)
    return tmp_path / "a.tar"


LOADED = ["Loaded image: app:1", "Loaded image: localhost/app:2", f"Loaded image ID: {TWO.image.manifest.digest}"]


def test_every_image_is_loaded_and_said(tmp_path: Path, archive: Path) -> None:
    """In docker's words, which scripts read; the progress speaks of loads, and -q leaves it out."""
    who = load(tmp_path, str(archive))
    assert said(who).splitlines() == LOADED
    assert "load " in remarked(who) and "loaded " in remarked(who) and "pull" not in remarked(who)
    digest = str(ONE.image.manifest.digest)
    assert names_in(tmp_path) == {"docker.io/library/app:1": digest, "localhost/app:2": digest}
    who = load(tmp_path, "a.tar", quiet=True)
    assert (said(who).splitlines(), remarked(who)) == (LOADED, "")


def test_it_may_be_compressed(tmp_path: Path, archive: Path) -> None:
    """Whatever the file is called."""
    data = archive.read_bytes()
    for number, packed in enumerate((gzip.compress(data), zstandard.ZstdCompressor().compress(data))):
        (tmp_path / f"{number}").write_bytes(packed)
        assert said(load(tmp_path, f"{number}")).splitlines() == LOADED


def test_standard_input_is_a_file_or_a_pipe(tmp_path: Path, archive: Path) -> None:
    """And so may -i be, as in <(…)."""
    with open(archive, "rb") as file:
        assert said(load(tmp_path, None, replace(caller(tmp_path), stdin=file))).splitlines() == LOADED
    os.mkfifo(tmp_path / "fifo")
    for source in (None, "-", "fifo"):
        sender = threading.Thread(target=lambda: (tmp_path / "fifo").write_bytes(archive.read_bytes()))
        sender.start()
        if source == "fifo":
            who = load(tmp_path, source)
        else:
            with open(tmp_path / "fifo", "rb") as pipe:
                who = load(tmp_path, source, replace(caller(tmp_path), stdin=pipe))
        sender.join()
        assert said(who).splitlines() == LOADED
    rooms = (tmp_path / "store" / "pybuild" / "tmp").iterdir()
    assert not [path for room in rooms for path in room.iterdir()]


def test_a_layouts_directory_is_loaded(tmp_path: Path, archive: Path) -> None:
    """By its full names."""
    assert archive.exists()
    names = (Reference.parse("app:1"),)
    write_layout(tmp_path / "l", ONE.image, lambda digest: tmp_path / "blobs" / digest.hex, names)
    assert said(load(tmp_path, "l")) == "Loaded image: app:1\n"


def test_names_that_are_none_are_left_out(tmp_path: Path) -> None:
    """The image is loaded all the same, and people are told."""
    config = TWO.image.config_descriptor.digest
    files = {f"{config.hex}.json": TWO.blobs[config], "layer.tar": TWO.layer_bytes()}
    tags = ["../../etc/passwd", "\x1b[2Jx", "app:ok"]
    files["manifest.json"] = as_json([{"Config": f"{config.hex}.json", "RepoTags": tags, "Layers": ["layer.tar"]}])
    (tmp_path / "a.tar").write_bytes(tar_of(files))
    who = load(tmp_path, "a.tar")
    assert said(who) == "Loaded image: app:ok\n"
    assert remarked(who).count("left out") == 2
    assert "\x1b" not in remarked(who)


def test_a_name_waits_until_the_image_is_whole(tmp_path: Path, archive: Path) -> None:
    """Where the second image is damaged the first is there, and the second is not."""
    data = archive.read_bytes()
    victim = TWO.layer_bytes()
    assert data.count(victim) == 1
    archive.write_bytes(data.replace(victim, bytes(len(victim))))
    who = caller(tmp_path)
    with pytest.raises(ImageError, match="is damaged"):
        load(tmp_path, "a.tar", who)
    assert said(who).splitlines() == LOADED[:2]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a tar|cannot be read|no archive|is empty"),
        (b"hello\n" * 1000, "cannot be read"),
        (b"\x1f\x8b" * 300, "damaged|gzip"),
    ],
)
def test_what_is_no_archive_is_one_line(tmp_path: Path, data: bytes, words: str) -> None:
    """From a file and from a pipe, with what it was called."""
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ImageError, match=words):
        load(tmp_path, "x")
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    with os.fdopen(read, "rb") as pipe, pytest.raises(ImageError, match="standard input"):
        load(tmp_path, None, replace(caller(tmp_path), stdin=pipe))


def test_a_cut_archive_is_one_line(tmp_path: Path, archive: Path) -> None:
    """Wherever it was cut, nothing gets a name that is not whole."""
    data = archive.read_bytes()
    for length in range(0, len(data), 2000):
        archive.write_bytes(data[:length])
        try:
            load(tmp_path, "a.tar")
        except PybuildError as error:
            assert error.exit_code == 5, error.message
    with Store.open(tmp_path / "store") as store:
        for image in store.images.all():
            assert store.blobs.read(image.manifest.digest, 1 << 20)


def test_a_terminal_is_not_waited_for(tmp_path: Path) -> None:
    """Docker says the same."""
    terminal = Terminal()
    with pytest.raises(UsageError, match="standard input is a terminal"):
        load(tmp_path, None, replace(caller(tmp_path), stdin=terminal))  # type: ignore[arg-type]  # asked, never read


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(ImageError, match=r"none\.tar is missing|none\.tar does not exist"):
        load(tmp_path, "none.tar")
    with pytest.raises(UsageError, match="-i/--input: the file is empty"):
        load(tmp_path, "")
