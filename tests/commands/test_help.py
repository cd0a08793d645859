"""The help."""

from __future__ import annotations

from builder.commands.app import NAMES
from builder.commands.help import COMMANDS, OTHERS, build_help, command_help
from builder.commands.options import OPTIONS, Group


def test_the_help_fits_on_two_screens() -> None:
    """The help is at most 80 columns wide, two screens of 30 lines long, and plain ASCII for any locale."""
    lines = build_help().splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 60
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
    assert {name.split()[0] for name, _ in COMMANDS} == set(NAMES)
    assert set(OTHERS) == set(NAMES) - {"build"} | {"check"}
    for name, command in OTHERS.items():
        assert command_help(name).startswith(f"Usage: pybuild {command.usage}\n")
        assert max(map(len, command_help(name).splitlines())) <= 80
