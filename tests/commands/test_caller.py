"""Who called, and where the store is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from builder.commands.caller import Caller, read_format, store_root
from builder.errors import UsageError
from tests.commands.callers import caller, remarked, said
from tests.report import terminal


@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        ("/opt", {"PYBUILD_ROOT": "/env"}, "/opt"),
        ("rel", {}, "/there/rel"),
        (None, {"PYBUILD_ROOT": "/env", "XDG_DATA_HOME": "/data"}, "/env"),
        (None, {"PYBUILD_ROOT": "", "XDG_DATA_HOME": "/data"}, "/data/pybuild"),
        (None, {"XDG_DATA_HOME": "relative"}, "/home/me/.local/share/pybuild"),
        (None, {}, "/home/me/.local/share/pybuild"),
    ],
)
def test_where_the_store_is(option: str | None, environment: dict[str, str], expected: str) -> None:
    """--root, else PYBUILD_ROOT, else the XDG data directory, else below the home directory; always absolute."""
    who = caller(Path("/there"), environment, home=Path("/home/me"))
    assert store_root(option, who) == Path(expected)


def test_without_a_home_the_store_must_be_named() -> None:
    """Nobody's store is put anywhere by guessing."""
    with pytest.raises(UsageError, match="nowhere to keep the store"):
        store_root(None, caller())
    with pytest.raises(UsageError, match="empty"):
        store_root("", caller())


def _at_terminal(environment: dict[str, str]) -> tuple[bool, bool]:
    with terminal.opened() as (_, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        base = caller(environment=environment)
        who = Caller(base.environment, base.directory, base.home, base.stdin, base.stdout, stream)
        return who.live, who.color


def test_a_terminal_is_live_unless_it_is_dumb() -> None:
    """A live view needs a terminal that moves its cursor; NO_COLOR keeps it without colours."""
    assert _at_terminal({"TERM": "xterm"}) == (True, True)
    assert _at_terminal({"TERM": "xterm", "NO_COLOR": "1"}) == (True, False)
    assert _at_terminal({"TERM": "dumb"}) == (False, False)
    assert _at_terminal({}) == (False, False)
    assert not caller(environment={"TERM": "xterm"}).live


def test_results_and_remarks_go_to_different_streams() -> None:
    """Results go to standard output, remarks to standard error."""
    who = caller()
    who.say(["one", "two"])
    who.remark("note")
    assert (said(who), remarked(who)) == ("one\ntwo\n", "note\n")


def test_formats() -> None:
    """There are two formats."""
    assert (read_format("table"), read_format("json")) == (False, True)
    with pytest.raises(UsageError, match="--format"):
        read_format("{{.ID}}")


def test_the_width_of_results() -> None:
    """Results for a terminal know its width; what goes elsewhere is never cut."""
    assert caller().columns is None
    with terminal.opened(columns=42) as (_, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        assert replace(caller(), stdout=stream).columns == 42
    with terminal.opened(columns=0) as (_, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        assert replace(caller(), stdout=stream).columns is None
