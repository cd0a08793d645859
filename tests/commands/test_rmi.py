"""`pybuild rmi`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.commands import rmi
from builder.commands.app import run
from builder.commands.line import Line
from builder.commands.lookup import find_named, load
from builder.errors import ImageError
from builder.store import Store
from builder.store.check import check
from builder.values.reference import Reference
from tests.commands.built import build_into
from tests.commands.callers import caller, said
from tests.store import stocks


def remove(root: Path, *images: str, force: bool = False) -> str:
    """Remove images; what was printed."""
    who = caller(root.parent)
    try:
        assert rmi.run(Line({"image": images, "force": force, "root": str(root)}), who) == 0
    finally:
        with Store.open(root) as store:
            assert check(store) == []
    return said(who)


def test_the_last_name_takes_the_image_along(tmp_path: Path) -> None:
    """Untagged is the name, deleted are the manifest and the config; what the step cache needs stays."""
    root = tmp_path / "store"
    digest = build_into(root, tmp_path / "context", "app:1")
    lines = remove(root, "app:1").splitlines()
    assert lines[:2] == ["Untagged: app:1", f"Deleted: {digest}"] and len(lines) == 3
    assert build_into(root, tmp_path / "context", "app:1") == digest  # out of the cache


def test_one_name_of_two(tmp_path: Path) -> None:
    """While the image has another name nothing of it goes."""
    root = tmp_path / "store"
    build_into(root, tmp_path / "context", "app:1", "app:2")
    assert remove(root, "app:1") == "Untagged: app:1\n"
    assert remove(root, "app:2").startswith("Untagged: app:2\nDeleted: sha256:")


def test_layers_that_only_it_needs(tmp_path: Path) -> None:
    """Layers that are in no step of the cache and no other image are deleted, and leave the disk."""
    root = tmp_path / "store"
    with Store.open(root) as store:
        shared, own = stocks.layer(store, "shared"), stocks.layer(store, "own")
        store.images.tag(Reference.parse("a:1"), stocks.manifest(store, [shared]).manifest)
        store.images.tag(Reference.parse("b:1"), stocks.manifest(store, [shared, own]).manifest)
    out = remove(root, "b:1")
    assert f"Deleted: {own.descriptor.digest}" in out and str(shared.descriptor.digest) not in out
    assert os.listdir(root / "pybuild" / "trash") == []


def test_by_digest(tmp_path: Path) -> None:
    """A digest takes its only name along; with several names it takes --force."""
    root = tmp_path / "store"
    digest = build_into(root, tmp_path / "context", "app:1", "app:2")
    with pytest.raises(ImageError, match="2 names: app:"):
        remove(root, digest[:20])
    assert remove(root, digest[:20], force=True).count("Untagged") == 2
    digest = build_into(root, tmp_path / "context")
    assert remove(root, digest).startswith(f"Deleted: {digest}")


def test_names_that_other_tools_gave(tmp_path: Path) -> None:
    """A name that is not written as ours are is removed as it stands."""
    root = tmp_path / "store"
    with Store.open(root) as store:
        made = stocks.image(store, "app:1", "one")
    index = (root / "index.json").read_text()
    (root / "index.json").write_text(index.replace("docker.io/library/app:1", "latest"))
    assert remove(root, "latest").splitlines()[1] == f"Deleted: {made.manifest.digest}"


def test_one_that_is_missing(tmp_path: Path) -> None:
    """The others are removed all the same, then it is an error with the nearest name; with --force it is none."""
    root = tmp_path / "store"
    build_into(root, tmp_path / "context", "app:1", "app:2", "app:3")
    with pytest.raises(ImageError) as caught:
        remove(root, "app:1", "ap:2")
    assert caught.value.hint is not None and "did you mean app:2" in caught.value.hint
    remove(root, "ap:9", "app:2", force=True)
    with Store.open(root) as store:
        assert [image.name for image in store.images.all()] == ["docker.io/library/app:3"]


def test_a_damaged_image(tmp_path: Path) -> None:
    """An image whose manifest is gone loses its name without ado."""
    root = tmp_path / "store"
    digest = build_into(root, tmp_path / "context", "app:1")
    (root / "blobs" / "sha256" / digest[7:]).unlink()
    assert remove(root, "app:1") == "Untagged: app:1\n"


def test_no_store(tmp_path: Path) -> None:
    """Where there is no store there is no image, and no store is made."""
    who = caller(tmp_path)
    with pytest.raises(ImageError):
        rmi.run(Line({"image": ("a",), "force": False, "root": str(tmp_path / "none")}), who)
    assert not (tmp_path / "none").exists()


def test_one_config_of_two_images(tmp_path: Path) -> None:
    """An image id that several manifests have removes nothing, --force or not, and the hint names the manifests."""
    root = tmp_path / "store"
    digest = build_into(root, tmp_path / "context", "app:1")
    line = ["-q", "-o", "type=image,name=app:2,annotation.a=b", "--root", str(root), str(tmp_path / "context")]
    assert run(line, caller(tmp_path)) == 0
    with Store.open(root) as store:
        config = load(store, find_named("app:1", store).manifest).config_descriptor.digest
    for force in (False, True):
        with pytest.raises(ImageError, match="may be any of 2 images") as caught:
            remove(root, config.hex[:12], force=force)
        assert digest in (caught.value.hint or "")
