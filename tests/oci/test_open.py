"""Which source a name means."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.archive import ArchiveSource
from builder.oci.docker_archive import DockerArchiveSource
from builder.oci.layout import LayoutSource
from builder.oci.open import LateSource, open_source
from builder.oci.registry import RegistrySource
from builder.oci.rootfs import RootfsSource
from builder.oci.source import ImageSource
from builder.values.platform import Platform


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("debian", RegistrySource, "debian:latest"),
        ("docker://localhost:5000/a:1", RegistrySource, "localhost:5000/a:1"),
        ("docker-image://debian:12", RegistrySource, "debian:12"),
        ("oci:/dir:1", LayoutSource, "oci:/dir:1"),
        ("oci:/dir", LayoutSource, "oci:/dir"),
        ("oci-layout:///dir:1", LayoutSource, "oci:/dir:1"),
        ("oci-archive:/a.tar:x/y:1", ArchiveSource, "oci-archive:/a.tar:x/y:1"),
        ("docker-archive:/a.tar:x:1", DockerArchiveSource, "docker-archive:/a.tar:x:1"),
        ("rootfs:/dir", RootfsSource, "rootfs:/dir"),
        ("/a.tar", RootfsSource, "rootfs:/a.tar"),
    ],
)
def test_the_transport_decides(text: str, kind: type[ImageSource], name: str) -> None:
    """Each prefix has its source; no prefix is a registry's name, a path is a root file system."""
    source = open_source(text)
    assert type(source) is kind
    assert source.name == name


def test_relative_paths_start_at_the_directory(tmp_path: Path) -> None:
    """The current directory is the caller's business."""
    assert open_source("oci:out:1", directory=tmp_path).name == f"oci:{tmp_path}/out:1"
    assert open_source("./root", directory=tmp_path).name == f"rootfs:{tmp_path}/root"


def test_a_path_may_hold_colons(tmp_path: Path) -> None:
    """The longest path that exists is meant; what remains is the tag."""
    (tmp_path / "a:b").mkdir()
    assert open_source(f"oci:{tmp_path}/a:b").name == f"oci:{tmp_path}/a:b"
    assert open_source(f"oci:{tmp_path}/a:b:1").name == f"oci:{tmp_path}/a:b:1"
    digest = "sha256:" + "a" * 64
    assert open_source(f"oci:{tmp_path}/a:b@{digest}").name.endswith(f"a:b:{digest}")


@pytest.mark.parametrize("text", ["oci:", "docker-archive:", "Upper", "a@sha256:../..", "docker://", "a b"])
def test_what_is_no_name_is_refused(text: str) -> None:
    """A malformed name is an ImageError before anything is asked."""
    with pytest.raises(ImageError):
        open_source(text)


def test_a_late_source_is_opened_once_and_late() -> None:
    """Nothing is opened before the first question, and all questions go to one source."""
    opened: list[ImageSource] = []

    def open_it() -> ImageSource:
        opened.append(open_source("oci:/dir:1"))
        return opened[-1]

    late = LateSource(open_it)
    assert opened == []
    assert late.name == "oci:/dir:1" == late.name
    with pytest.raises(ImageError, match="/dir"):
        late.load(Platform.of("linux", "amd64"))
    assert len(opened) == 1
