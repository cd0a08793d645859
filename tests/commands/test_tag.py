"""`pybuild tag`."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.commands import tag
from builder.commands.line import Line
from builder.errors import ImageError, UsageError
from builder.store import Store
from builder.store.check import check
from builder.store.policy import Policy
from builder.store.prune import prune
from tests.commands.built import build_into
from tests.commands.callers import caller, said


def names_of(root: Path) -> set[str]:
    """The names in a store."""
    with Store.open(root) as store:
        assert check(store) == []
        return {image.name for image in store.images.all()}


def give(root: Path, source: str, *targets: str) -> str:
    """Give names; what was printed."""
    who = caller(root.parent)
    assert tag.run(Line({"source": source, "target": targets, "root": str(root)}), who) == 0
    return said(who)


def test_several_names_at_once(tmp_path: Path) -> None:
    """Each target becomes a name of the image, in full, and is told."""
    root = tmp_path / "store"
    build_into(root, tmp_path / "context", "app:1")
    assert give(root, "app:1", "other", "reg.example:5000/team/app:2") == (
        "Tagged: other:latest\nTagged: reg.example:5000/team/app:2\n"
    )
    assert names_of(root) >= {"docker.io/library/other:latest", "reg.example:5000/team/app:2"}


def test_an_image_without_a_name(tmp_path: Path) -> None:
    """An image that was built without a name gets one by its digest, and outlives pruning then."""
    root = tmp_path / "store"
    digest = build_into(root, tmp_path / "context")
    give(root, digest, "kept:1")
    with Store.open(root) as store:
        prune(store, Policy(everything=True))
    assert names_of(root) == {"docker.io/library/kept:1"}


def test_an_unnamed_image_that_is_not_whole(tmp_path: Path) -> None:
    """A manifest whose layers are gone gets no name."""
    root = tmp_path / "store"
    digest = build_into(root, tmp_path / "context")
    with Store.open(root) as store:
        largest = max((root / "blobs" / "sha256").iterdir(), key=lambda path: path.read_bytes()[:1] == b"\x1f")
        largest.unlink()
        prune(store, Policy(older_than_s=1e9))
    with pytest.raises(ImageError):
        give(root, digest, "kept:1")


@pytest.mark.parametrize("target", ["UPPER", "app@sha256:" + "0" * 64, ""])
def test_what_cannot_be_a_name(tmp_path: Path, target: str) -> None:
    """A target that is no name is a usage error, and no other name is given."""
    root = tmp_path / "store"
    build_into(root, tmp_path / "context", "app:1")
    with pytest.raises(UsageError):
        give(root, "app:1", "fine", target)
    assert names_of(root) == {"docker.io/library/app:1"}


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    """A misspelt source is an error that names the nearest."""
    root = tmp_path / "store"
    build_into(root, tmp_path / "context", "app:1")
    with pytest.raises(ImageError) as caught:
        give(root, "ap:1", "x")
    assert caught.value.hint == "did you mean app:1?"
    with pytest.raises(ImageError):
        give(tmp_path / "none", "app:1", "x")
