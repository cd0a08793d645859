"""Root file systems as images."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from builder.errors import ImageError
from builder.oci.rootfs import RootfsSource
from builder.oci.source import ignore_progress
from builder.values.digest import DiffId, Digest
from builder.values.image import MEDIA_LAYER, MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD, RunConfig
from tests.oci.images import AMD64, ARM64, tar_of

TAR = tar_of({"bin/sh": b"#!", "etc/os-release": b"ID=test\n"})


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], Path]:
    """Fresh paths for temporary files."""
    (tmp_path / "scratch").mkdir()
    numbers: Iterator[int] = iter(range(100))
    return lambda: tmp_path / "scratch" / str(next(numbers))


def zstd(data: bytes) -> bytes:
    """As zstd -3."""
    return zstandard.ZstdCompressor().compress(data)


@pytest.mark.parametrize(
    ("pack", "media_type", "same"),
    [
        (bytes, MEDIA_LAYER, True),
        (gzip.compress, MEDIA_LAYER_GZIP, True),
        (zstd, MEDIA_LAYER_ZSTD, True),
        (bz2.compress, MEDIA_LAYER, False),
        (lzma.compress, MEDIA_LAYER, False),
    ],
)
def test_a_tar_becomes_the_layer(
    tmp_path: Path, fresh: Callable[[], Path], pack: Callable[[bytes], bytes], media_type: str, same: bool
) -> None:
    """Used as it is where layers may be so; bzip2 and xz are unpacked to the plain tar."""
    data = pack(TAR)
    (tmp_path / "root.tar").write_bytes(data)
    source = RootfsSource(tmp_path / "root.tar", fresh)
    image = source.load(AMD64)
    (layer,) = image.layers
    blob = data if same else TAR
    assert layer.diff_id == DiffId.of(TAR)
    assert (layer.descriptor.media_type, layer.descriptor.digest) == (media_type, Digest.of(blob))
    source.fetch(layer.descriptor, tmp_path / "out", ignore_progress)
    assert (tmp_path / "out").read_bytes() == blob


def test_the_image_says_no_more_than_it_knows(tmp_path: Path) -> None:
    """An empty config, the platform asked for, one line of history; the same tar gives the same image."""
    (tmp_path / "root.tar").write_bytes(TAR)
    image = RootfsSource(tmp_path / "root.tar").load(ARM64)
    assert image.config.platform == ARM64
    assert image.config.config == RunConfig()
    assert len(image.config.history) == 1
    (tmp_path / "other-name").write_bytes(TAR)
    other = RootfsSource(tmp_path / "other-name")
    assert other.load(ARM64) == image
    assert dict(other.documents(image)).keys() == {image.manifest.digest, image.config_descriptor.digest}


def test_a_directory_is_packed(tmp_path: Path, fresh: Callable[[], Path]) -> None:
    """Files, modes, links; owners become 0:0, the root's own mode is not taken, and temporary files go."""
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin/sh").write_bytes(b"shell" * 1000)
    (root / "bin/sh").chmod(0o4755)
    (root / "bin/ash").symlink_to("sh")
    os.mkfifo(root / "pipe")
    root.chmod(0o700)
    source = RootfsSource(root, fresh)
    layer = source.load(AMD64).layers[0].descriptor
    source.fetch(layer, tmp_path / "out", ignore_progress)
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "out").read_bytes()), mode="r:gz") as archive:
        members = {member.name: member for member in archive.getmembers()}
        assert archive.extractfile("bin/sh").read() == b"shell" * 1000  # type: ignore[union-attr]
    assert sorted(members) == ["bin", "bin/ash", "bin/sh", "pipe"]
    assert members["bin/sh"].mode == 0o4755
    assert members["bin/ash"].linkname == "sh"
    assert members["pipe"].isfifo()
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}
    del source
    assert os.listdir(tmp_path / "scratch") == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"not a tar" * 200, "cannot be read"),
        (TAR[:700], "cannot be read"),
        (gzip.compress(TAR, mtime=0)[:-10], "too early"),
        (gzip.compress(TAR, mtime=0)[:50] + b"garbage" * 10, "cannot be read"),
        (gzip.compress(b"not a tar" * 200, mtime=0), "cannot be read"),
    ],
)
def test_what_is_no_tar_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    """Before it becomes anybody's base, all of it is read."""
    (tmp_path / "root.tar").write_bytes(data)
    with pytest.raises(ImageError, match=words) as caught:
        RootfsSource(tmp_path / "root.tar").load(AMD64)
    assert caught.value.message.startswith(f"rootfs:{tmp_path}/root.tar")


def test_a_missing_path_or_a_device_is_refused(tmp_path: Path) -> None:
    """Nothing is waited for."""
    os.mkfifo(tmp_path / "fifo")
    for path, words in ((tmp_path / "none", "does not exist"), (tmp_path / "fifo", "not a regular file")):
        with pytest.raises(ImageError, match=words):
            RootfsSource(path).load(AMD64)


def test_a_tar_that_changes_after_it_was_loaded_is_found(tmp_path: Path) -> None:
    """What is fetched is what was loaded, or an error."""
    (tmp_path / "root.tar").write_bytes(TAR)
    source = RootfsSource(tmp_path / "root.tar")
    layer = source.load(AMD64).layers[0].descriptor
    (tmp_path / "root.tar").write_bytes(TAR.replace(b"ID=test", b"ID=evil"))
    with pytest.raises(ImageError, match="is damaged"):
        source.fetch(layer, tmp_path / "out", ignore_progress)
