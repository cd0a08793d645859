"""The table of commands."""

from __future__ import annotations

import importlib

import pytest

from builder.commands.table import COMMANDS, GROUPS, NAMES, Command


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
