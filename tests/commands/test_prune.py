"""`pybuild prune`."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.commands import prune
from builder.commands.line import Line, Value
from builder.errors import UsageError
from builder.store import Store
from builder.store.holdings import Kind
from builder.store.policy import Policy
from tests.commands.built import build_into
from tests.commands.callers import caller, said
from tests.store import stocks
from tests.store.stocks import files_of


def line(**given: Value) -> Line:
    """A command line with these options."""
    plain: dict[str, Value] = {"older_than": None, "keep_storage": None, "type": (), "filter": (), "root": None}
    return Line({**plain, "all": False, "dry_run": False, "force": False, **given})


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        ({}, Policy()),
        ({"all": True}, Policy(everything=True)),
        ({"older_than": "7d"}, Policy(older_than_s=7 * 86400)),
        ({"older_than": "1h30m"}, Policy(older_than_s=5400)),
        ({"filter": ("until=24h",)}, Policy(older_than_s=86400)),
        ({"keep_storage": "10GB"}, Policy(keep_bytes=10 << 30)),
        ({"type": ("caches",)}, Policy(everything=True, kinds=frozenset((Kind.CACHES,)))),
        ({"filter": ("type=exec.cachemount",)}, Policy(everything=True, kinds=frozenset((Kind.CACHES,)))),
        ({"type": ("steps",), "older_than": "1w"}, Policy(older_than_s=604800, kinds=frozenset((Kind.STEPS,)))),
    ],
)
def test_options_make_a_policy(given: dict[str, Value], policy: Policy) -> None:
    """What is written on the command line is what is asked of the store."""
    assert prune.policy_of(line(**given)) == policy


@pytest.mark.parametrize(
    "given",
    [
        {"older_than": "soon"},
        {"older_than": "-1h"},
        {"keep_storage": "much"},
        {"type": ("images",)},
        {"filter": ("label=x",)},
        {"filter": ("until",)},
    ],
)
def test_what_cannot_be_understood(given: dict[str, Value]) -> None:
    """A wrong value is a usage error that names the right form."""
    with pytest.raises(UsageError) as caught:
        prune.policy_of(line(**given))
    assert caught.value.hint


def test_what_went_is_told(tmp_path: Path) -> None:
    """The kinds, their counts and the sum; a second time there is nothing."""
    root = tmp_path / "store"
    build_into(root, tmp_path / "context", "app:1")
    who = caller(tmp_path)
    assert prune.run(line(root=str(root), all=True), who) == 0
    lines = said(who).splitlines()
    assert lines[0].startswith("KIND") and lines[-1].startswith("freed ")
    again = caller(tmp_path)
    assert prune.run(line(root=str(root), all=True), again) == 0
    assert said(again) == "nothing to remove\n"


def test_a_dry_run(tmp_path: Path) -> None:
    """It says what would go, and removes nothing."""
    root = tmp_path / "store"
    build_into(root, tmp_path / "context", "app:1")
    before = files_of(root)
    who = caller(tmp_path)
    assert prune.run(line(root=str(root), all=True, dry_run=True), who) == 0
    assert said(who).splitlines()[-1].startswith("would free ")
    assert files_of(root) == before


def test_no_store(tmp_path: Path) -> None:
    """Where there is no store nothing is removed, and none is made."""
    who = caller(tmp_path)
    assert prune.run(line(root=str(tmp_path / "none")), who) == 0
    assert said(who) == "nothing to remove\n" and not (tmp_path / "none").exists()


def test_what_stays_is_settled(tmp_path: Path) -> None:
    """Snapshots that are left are put on the disk for good, so that they outlive a crash of the machine."""
    root = tmp_path / "store"
    with Store.open(root) as store:
        state = stocks.snapshot(store, stocks.image(store, "app:1", "one")).parent / "state"
    assert prune.run(line(root=str(root), dry_run=True), caller(tmp_path)) == 0
    assert b"settled" not in state.read_bytes()
    assert prune.run(line(root=str(root)), caller(tmp_path)) == 0
    assert b"settled" in state.read_bytes()
