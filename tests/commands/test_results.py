"""--iidfile and --metadata-file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from builder.commands import results
from builder.errors import StoreError, UsageError
from builder.values.reference import Reference
from tests.commands.callers import caller
from tests.report.images import image

NAMES = (Reference.parse("app:1"), Reference.parse("localhost:5000/app"))


def test_both_files(tmp_path: Path) -> None:
    """The image id is the config's digest without a line end; the metadata has buildx's keys."""
    files = results.prepare("iid", "meta.json", caller(tmp_path))
    results.write(files, image(), NAMES)
    assert (tmp_path / "iid").read_text() == f"sha256:{'c' * 64}"
    assert json.loads((tmp_path / "meta.json").read_text()) == {
        "containerimage.config.digest": f"sha256:{'c' * 64}",
        "containerimage.descriptor": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": f"sha256:{'a' * 64}",
            "size": 500,
        },
        "containerimage.digest": f"sha256:{'a' * 64}",
        "image.name": "docker.io/library/app:1,localhost:5000/app:latest",
    }
    assert sorted(os.listdir(tmp_path)) == ["iid", "meta.json"]


def test_an_image_without_names() -> None:
    """Without names there is no image.name."""
    assert "image.name" not in json.loads(results.metadata_json(image(), ()))


def test_old_files_go_before_the_build(tmp_path: Path) -> None:
    """A script never reads what an earlier build left."""
    (tmp_path / "iid").write_text("old")
    results.prepare("iid", None, caller(tmp_path))
    assert not (tmp_path / "iid").exists()


def test_links_are_followed(tmp_path: Path) -> None:
    """A symbolic link stays one; the file behind it is written."""
    (tmp_path / "link").symlink_to("real")
    files = results.prepare("link", None, caller(tmp_path))
    results.write(files, image(), ())
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text().startswith("sha256:")


def test_what_is_no_regular_file_is_written_as_it_is(tmp_path: Path) -> None:
    """A pipe is neither removed nor replaced."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        results.write(results.prepare(str(fifo), None, caller()), image(), ())
        assert os.read(reader, 100).startswith(b"sha256:")
    finally:
        os.close(reader)


@pytest.mark.parametrize("path", ["", ".", "missing/iid"])
def test_paths_that_cannot_be(tmp_path: Path, path: str) -> None:
    """A place that cannot be written is found before the build."""
    for image_id, metadata in ((path, None), (None, path)):
        with pytest.raises(UsageError, match=r"^--(iidfile|metadata-file): "):
            results.prepare(image_id, metadata, caller(tmp_path))


def test_a_full_disk(tmp_path: Path) -> None:
    """What cannot be written is a StoreError with the reason."""
    with pytest.raises(StoreError, match="/dev/full"):
        results.write(results.prepare("/dev/full", None, caller(tmp_path)), image(), ())
