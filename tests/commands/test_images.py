"""`pybuild images`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.commands.app import run
from builder.errors import UsageError
from tests.commands.built import build_into
from tests.commands.callers import caller, said


def test_the_latest_comes_first(tmp_path: Path) -> None:
    """Every name has a line with tag, short digest, age and size."""
    root = tmp_path / "store"
    digest = build_into(root, tmp_path / "c", "first:1")
    build_into(root, tmp_path / "c", "localhost:5000/second:2")
    who = caller()
    assert run(["images", "--root", str(root), "--format", "table"], who) == 0
    head, second, first = said(who).splitlines()
    assert head.split() == ["NAME", "TAG", "DIGEST", "AGE", "SIZE"]
    assert second.startswith("localhost:5000/second  2    ") and first.startswith("first ")
    assert digest[7:19] in first


def test_json(tmp_path: Path) -> None:
    """Programs get an array of objects."""
    digest = build_into(tmp_path / "store", tmp_path / "c", "app:1")
    who = caller()
    run(["images", "--root", str(tmp_path / "store"), "--format", "json"], who)
    [row] = json.loads(said(who))
    assert (row["name"], row["tag"], row["digest"]) == ("app", "1", digest)
    assert row["size"] > 0


def test_no_store_is_no_images(tmp_path: Path) -> None:
    """Where nothing was built there is an empty list, and looking makes no store."""
    who = caller()
    assert run(["images", "--root", str(tmp_path / "none"), "--format", "json"], who) == 0
    assert json.loads(said(who)) == []
    assert not (tmp_path / "none").exists()


def test_a_damaged_image_is_listed(tmp_path: Path) -> None:
    """An image whose manifest is gone is listed as damaged, beside the others."""
    root = tmp_path / "store"
    digest = build_into(root, tmp_path / "c", "app:1")
    (root / "blobs" / "sha256" / digest[7:]).unlink()
    who = caller()
    assert run(["images", "--root", str(root), "--format", "table"], who) == 0
    assert said(who).splitlines()[1].endswith("damaged")


def test_formats_are_checked_first() -> None:
    """An unknown format is refused."""
    with pytest.raises(UsageError):
        run(["images", "--format", "yaml"], caller())
