"""`pybuild builds`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from builder.commands import builds
from builder.commands.line import Line
from builder.errors import UsageError
from builder.store import Store
from tests.commands.callers import caller, said
from tests.store.test_builds import RECORD


def shown(root: Path, show: str | None = None, wanted: str | None = None, form: str | None = None) -> str:
    """What it prints."""
    who = caller(root.parent)
    assert builds.run(Line({"root": str(root), "show": show, "id": wanted, "format": form}), who) == 0
    return said(who)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with two builds."""
    with Store.open(tmp_path / "store") as store:
        store.builds.put(RECORD)
        store.builds.put(replace(RECORD, id="20270102-030405-000000"))
    return tmp_path / "store"


def test_the_list(store: Path) -> None:
    """All builds, the latest first, as a table or as JSON."""
    assert [line.split()[0] for line in shown(store).splitlines()] == ["ID", "20270102-030405-000000", RECORD.id]
    assert [build["id"] for build in json.loads(shown(store, form="json"))] == ["20270102-030405-000000", RECORD.id]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [(None, "20270102-030405-000000"), ("2026", RECORD.id), ("abcdef", RECORD.id), (RECORD.id, RECORD.id)],
)
def test_one_of_them(store: Path, wanted: str | None, found: str) -> None:
    """The latest, or the one whose id begins or ends so."""
    assert json.loads(shown(store, "show", wanted, "json"))["id"] == found
    assert f"build:    {found}" in shown(store, "show", wanted)


@pytest.mark.parametrize(
    ("show", "wanted", "words"),
    [("show", "20", "several builds"), ("show", "nope", "no build has"), ("list", None, "none of its words")],
)
def test_what_is_not_understood(store: Path, show: str, wanted: str | None, words: str) -> None:
    """An id that means several or none, and another word than show."""
    with pytest.raises(UsageError, match=words):
        shown(store, show, wanted)


def test_no_store(tmp_path: Path) -> None:
    """Where there is no store the list is empty, and none is made."""
    assert shown(tmp_path / "none").split() == ["ID", "AGE", "TIME", "STEPS", "CONTACTS", "NAMES"]
    with pytest.raises(UsageError, match="no build is remembered"):
        shown(tmp_path / "none", "show")
    assert not (tmp_path / "none").exists()
