"""The help."""

from __future__ import annotations

from builder.commands.help import build_help, command_help, group_help
from builder.commands.names import GROUPS, NAMES
from builder.commands.options import OPTIONS, Group
from builder.commands.table import COMMANDS


def test_the_help_fits_on_three_screens() -> None:
    """The help is at most 80 columns wide, three screens of 30 lines long, and plain ASCII for any locale."""
    lines = build_help().splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 90
    assert build_help().isascii()


def test_every_option_and_group_is_in_the_help() -> None:
    """Nothing of the table is left out."""
    text = build_help()
    for option in OPTIONS:
        assert all(name in text for name in option.names)
        assert option.help in " ".join(text.split())
    positions = [text.index(f"\n{group}:\n") for group in Group]
    assert positions == sorted(positions)


def test_every_command_is_in_the_help() -> None:
    """The list of commands is that of the commands there are, each with a help of its own."""
    text = build_help()
    for row in COMMANDS:
        assert f"  {row.name} " in text
        assert row.name.split()[0] in NAMES
        shown = command_help(row)
        assert shown.startswith(f"Usage: pybuild {row.usage}\n")
        assert max(map(len, shown.splitlines())) <= 80


def test_groups_list_their_commands() -> None:
    """The first word of a command of two words shows what may follow."""
    for name in GROUPS:
        assert group_help(name).startswith(f"Usage: pybuild {name} COMMAND")
        assert all(row.name in group_help(name) for row in COMMANDS if row.name.startswith(f"{name} "))
