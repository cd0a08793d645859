"""Where an image's name ends and a path in it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.commands.imagepath import ImagePath, split_image_path


@pytest.mark.parametrize(
    ("text", "image", "path"),
    [
        ("app", "app", None),
        ("app:1", "app:1", None),
        ("app:/etc", "app", b"etc"),
        ("app:/", "app", b""),
        ("app:1:/etc/passwd", "app:1", b"etc/passwd"),
        ("app:1:/etc/a:/b", "app:1", b"etc/a:/b"),
        ("app:1:/etc/", "app:1", b"etc/"),
        ("localhost:5000/team/app:/x", "localhost:5000/team/app", b"x"),
        ("app@sha256:0a:/etc", "app@sha256:0a", b"etc"),
        ("sha256:0a:/etc", "sha256:0a", b"etc"),
        ("store:app:1:/etc", "store:app:1", b"etc"),
        ("docker://h:5/a", "docker://h:5/a", None),
        ("docker://h:5/a:/etc", "docker://h:5/a", b"etc"),
        ("docker://h:5/a:1:/e:/f", "docker://h:5/a:1", b"e:/f"),
        ("oci:/dir", "oci:/dir", None),
        ("oci:/dir:tag", "oci:/dir:tag", None),
        ("oci:/dir:/etc/passwd", "oci:/dir", b"etc/passwd"),
        ("oci:/dir:tag:/etc/passwd", "oci:/dir:tag", b"etc/passwd"),
        ("oci-layout:///dir:/etc", "oci-layout:///dir", b"etc"),
        ("oci-archive:a.tar:/etc", "oci-archive:a.tar", b"etc"),
        ("docker-archive:../a.tar:x:1:/etc", "docker-archive:../a.tar:x:1", b"etc"),
        ("app:1:/caf\udcff", "app:1", b"caf\xff"),
        ("", "", None),
    ],
)
def test_a_path_begins_with_colon_and_slash(text: str, image: str, path: bytes | None) -> None:
    """The first `:/` that is not a transport's splits."""
    assert split_image_path(text, Path("/nowhere")) == ImagePath(image, path)


def test_files_with_colons_in_their_names(tmp_path: Path) -> None:
    """Where a file of the host has `:/` in its path, the image ends behind a file that exists."""
    (tmp_path / "a:/b").mkdir(parents=True)
    (tmp_path / "plain").mkdir()
    for text, image, path in (
        ("oci:a:/b", "oci:a:/b", None),
        ("oci:a:/b:/etc", "oci:a:/b", b"etc"),
        ("oci:a:/b:1:/etc", "oci:a:/b:1", b"etc"),
        ("oci:plain:/a:/b", "oci:plain", b"a:/b"),
        (f"oci:{tmp_path}/a:/b:/etc", f"oci:{tmp_path}/a:/b", b"etc"),
    ):
        assert split_image_path(text, tmp_path) == ImagePath(image, path)
