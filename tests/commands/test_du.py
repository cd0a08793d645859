"""`pybuild du`."""

from __future__ import annotations

import json
from pathlib import Path

from builder.commands import du
from builder.commands.line import Line
from tests.commands.built import build_into
from tests.commands.callers import caller, said


def shown(root: Path, verbose: bool = False, form: str | None = None) -> str:
    """What it prints."""
    who = caller(root.parent)
    assert du.run(Line({"root": str(root), "verbose": verbose, "format": form}), who) == 0
    return said(who)


def test_by_kind(tmp_path: Path) -> None:
    """A line for each kind there is, and the sum."""
    build_into(tmp_path / "store", tmp_path / "context", "app:1")
    lines = shown(tmp_path / "store").splitlines()
    assert lines[0].split() == ["KIND", "ENTRIES", "SIZE", "RECLAIMABLE"]
    assert lines[1].startswith("images") and lines[1].endswith(" 0 B") and lines[-1].startswith("total")


def test_thing_by_thing(tmp_path: Path) -> None:
    """With -v every thing has a line, and for programs both are in one document."""
    build_into(tmp_path / "store", tmp_path / "context", "app:1")
    text = shown(tmp_path / "store", verbose=True)
    assert "LAST USED" in text and ("just now" in text or "second" in text)
    document = json.loads(shown(tmp_path / "store", form="json"))
    assert {"kinds", "things"} == set(document) and len(document["things"]) > 5


def test_no_store(tmp_path: Path) -> None:
    """Where there is no store nothing takes room, and none is made."""
    assert "total" in shown(tmp_path / "none")
    assert not (tmp_path / "none").exists()
