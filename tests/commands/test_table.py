"""The table of commands."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from builder.commands.names import GROUPS, NAMES
from builder.commands.table import BUILD, COMMANDS, Command

_PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_every_command_has_its_module(row: Command) -> None:
    """Each row names a module of builder.commands with `run`."""
    assert callable(importlib.import_module(f"builder.commands.{row.module}").run)


def test_names_are_unique() -> None:
    """No two commands have one name, and those of two words belong to a known group."""
    assert len({row.name for row in COMMANDS}) == len(COMMANDS)
    assert {row.name.split()[0] for row in COMMANDS if " " in row.name} == set(GROUPS)
    assert len(set(NAMES)) == len(NAMES)


def test_keys_do_not_clash() -> None:
    """A command's words and options have different keys."""
    for row in COMMANDS:
        keys = [*(word.key for word in row.words), *(option.key for option in row.options)]
        assert len(keys) == len(set(keys)), row.name


@pytest.mark.parametrize("row", [BUILD, *COMMANDS], ids=lambda row: row.name)
def test_every_command_is_documented(row: Command) -> None:
    """docs/cli.md has each command with all spellings of its options, and the README's table has its name."""
    manual = (_PROJECT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert f"**`pybuild {row.name}" in manual or f"## pybuild {row.name}\n" in manual
    for name in (name for option in row.options for name in option.names):
        assert re.search(rf"`{name}[`= ]", manual), name
    table = (_PROJECT / "README.md").read_text(encoding="utf-8").partition("\n## Commands\n")[2].partition("\n## ")[0]
    assert re.search(rf"[`\[ ]{row.name}[`\] ]", table)
