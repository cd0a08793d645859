"""`pybuild store check`."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.commands.app import run
from builder.errors import StoreError
from tests.commands.built import build_into
from tests.commands.callers import caller, said


def test_a_sound_store(tmp_path: Path) -> None:
    """A store in which nothing is wrong gets one line and 0."""
    build_into(tmp_path / "store", tmp_path / "c", "app:1")
    who = caller()
    assert run(["store", "check", "--root", str(tmp_path / "store")], who) == 0
    assert said(who) == f"the store {tmp_path / 'store'} is sound\n"


def test_a_damaged_store(tmp_path: Path) -> None:
    """Each finding has a line; the error says how many there are."""
    root = tmp_path / "store"
    digest = build_into(root, tmp_path / "c", "app:1")
    blob = root / "blobs" / "sha256" / digest[7:]
    blob.chmod(0o600)
    blob.write_bytes(b"rot")
    who = caller()
    with pytest.raises(StoreError, match="is damaged"):
        run(["store", "check", "--root", str(root)], who)
    assert digest[7:19] in said(who)


def test_no_store(tmp_path: Path) -> None:
    """Where there is no store there is nothing to be sound, and none is made."""
    with pytest.raises(StoreError, match="there is no store"):
        run(["store", "check", "--root", str(tmp_path / "none")], caller())
    assert not (tmp_path / "none").exists()
