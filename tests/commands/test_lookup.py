"""Finding images."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.commands.build import build
from builder.commands.lookup import familiar, find_image, find_named, is_store
from builder.commands.options import BuildOptions
from builder.errors import ImageError
from builder.store import Store
from builder.values.platform import Platform
from tests.commands.built import build_into, make_context
from tests.commands.callers import caller
from tests.stages.builds import base, row


def test_by_any_spelling_of_its_name(tmp_path: Path) -> None:
    """A name is found in short and in full, with and without `latest`."""
    root = tmp_path / "store"
    build_into(root, tmp_path / "c", "app", "localhost:5000/team/app:1")
    for text in ("app", "app:latest", "docker.io/library/app:latest", "docker.io/app"):
        assert find_image(text, root, caller())[0] == "app:latest"
    assert find_image("localhost:5000/team/app:1", root, caller())[0] == "localhost:5000/team/app:1"


def test_by_digest_or_the_beginning_of_one(tmp_path: Path) -> None:
    """The manifest's and the config's digest lead to the image, whole or begun, with or without `sha256:`."""
    root = tmp_path / "store"
    digest = build_into(root, tmp_path / "c", "app:1")
    image = find_image(digest, root, caller())[1]
    for text in (
        digest,
        digest[7:],
        digest[7:19],
        str(image.config_descriptor.digest),
        image.config_descriptor.digest.hex[:8],
    ):
        assert find_image(text, root, caller()) == ("app:1", image)


def test_an_image_without_a_name(tmp_path: Path) -> None:
    """The whole digest leads to an image that has no name."""
    root = tmp_path / "store"
    digest = build_into(root, tmp_path / "c")
    name, image = find_image(digest, root, caller())
    assert name == digest == str(image.manifest.digest)


def test_outside_of_the_store(tmp_path: Path) -> None:
    """A layout and an archive are found by their transport, relative to where the caller is."""
    options = BuildOptions(
        context=str(make_context(tmp_path / "c")),
        root="store",
        tag=("app:1",),
        output=(f"type=oci,dest={tmp_path / 'out'}", f"type=oci,dest={tmp_path / 'out.tar'}"),
    )
    build(options, caller(tmp_path))
    digests = {
        find_image(text, tmp_path / "none", caller(tmp_path))[1].manifest.digest
        for text in ("oci:out", "oci:out:1", "oci-archive:out.tar")
    }
    assert digests == {find_image("app:1", tmp_path / "store", caller())[1].manifest.digest}


def test_what_is_not_there(tmp_path: Path) -> None:
    """A name that is missing suggests the nearest; without a store, too, it is simply not there."""
    root = tmp_path / "store"
    build_into(root, tmp_path / "c", "webapp:1")
    with pytest.raises(ImageError) as caught:
        find_image("webap:1", root, caller())
    assert caught.value.hint == "did you mean webapp:1?"
    for text in ("other", "ffffffffffff", "f" * 64, "UPPER:case", ""):
        with pytest.raises(ImageError, match="there is no image"):
            find_image(text, root, caller())
    with pytest.raises(ImageError, match="there is no image"):
        find_image("app", tmp_path / "none", caller())
    assert not (tmp_path / "none").exists()


def test_a_digest_that_is_no_manifest(tmp_path: Path) -> None:
    """The digest of a layer is not an image."""
    root = tmp_path / "store"
    image = find_image(build_into(root, tmp_path / "c", "app"), root, caller())[1]
    with pytest.raises(ImageError):
        find_image(str(image.layers[0].descriptor.digest), root, caller())


def test_the_names_of_what_was_found(tmp_path: Path) -> None:
    """Who tags or removes learns the name that was typed, and all other names of that image."""
    root = tmp_path / "store"
    digest = build_into(root, tmp_path / "c", "app:1", "localhost/app:2")
    with Store.open(root) as store:
        by_name, by_digest = find_named("localhost/app:2", store), find_named(digest[7:17], store)
        for spelling in ("store:localhost/app:2", f"localhost/app:2@{digest}", f"localhost/app@{digest}"):
            assert find_named(spelling, store) == by_name
        with pytest.raises(ImageError):
            find_named(f"other/app@{digest}", store)
        with pytest.raises(ImageError):
            find_named(f"app:1@sha256:{'0' * 64}", store)
    assert by_name.typed is not None and by_name.typed.name == "localhost/app:2"
    assert [image.name for image in by_name.names] == ["localhost/app:2", "docker.io/library/app:1"]
    assert by_digest.typed is None and len(by_digest.names) == 2
    assert by_name.manifest == by_digest.manifest and str(by_name.manifest.digest) == digest


def test_an_image_of_one_platform_of_an_index(tmp_path: Path) -> None:
    """A name may stand for an index; then the platform chooses."""
    layout = base(tmp_path / "layout", [[row("a", "a")]], platforms=("linux/amd64", "linux/arm64"))
    for architecture in ("amd64", "arm64"):
        platform = Platform.of("linux", architecture)
        assert find_image(layout, tmp_path / "none", caller(), None, platform)[1].config.platform == platform


def test_no_store_is_made(tmp_path: Path) -> None:
    """An empty directory is no store, and does not become one by looking."""
    assert not is_store(tmp_path / "none") and not is_store(tmp_path)
    (tmp_path / "file").write_text("")
    assert not is_store(tmp_path / "file") and is_store(tmp_path)


def test_familiar_names() -> None:
    """Names are shown as people write them; what is no reference stays."""
    assert familiar("docker.io/library/app:1") == "app:1"
    assert familiar("not a reference") == "not a reference"
