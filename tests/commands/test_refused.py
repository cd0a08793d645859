"""Options that are not here."""

from __future__ import annotations

import pytest

from builder.commands.app import run
from builder.commands.refused import COMMON, OF_COMMANDS, REFUSED
from builder.commands.table import COMMANDS, Command
from builder.errors import UsageError
from tests.commands.callers import caller


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_each_is_refused_by_name_with_a_way_out(name: str) -> None:
    """An option of other builders is named, and the hint says what to do instead."""
    with pytest.raises(UsageError) as caught:
        run([name, "."], caller())
    assert caught.value.message == f"{name} is not supported"
    assert caught.value.hint == REFUSED[name]


def test_what_people_try_is_in_the_table() -> None:
    """The options that the documentation of docker, buildx and buildah shows first are answered."""
    tried = "--cache-from --cache-to --squash --format --isolation --security-opt --shm-size --volume"
    assert set(tried.split()) <= set(REFUSED)


@pytest.mark.parametrize("line", ["--cache-from=type=registry,ref=x", "--squash=true", "--shm-size=64m"])
def test_a_value_does_not_hide_the_name(line: str) -> None:
    """An option with its value behind `=` is refused by its name just the same."""
    with pytest.raises(UsageError, match="is not supported"):
        run([line, "."], caller())


@pytest.mark.parametrize(
    ("command", "name"), [(command, name) for command in OF_COMMANDS for name in OF_COMMANDS[command]]
)
def test_options_of_other_tools_commands(command: str, name: str) -> None:
    """What docker, podman or skopeo take for a command of that name is refused by its name, with what to do."""
    with pytest.raises(UsageError) as caught:
        run([command, name], caller())
    assert caught.value.message == f"{name} is not supported"
    assert caught.value.hint == OF_COMMANDS[command][name]


@pytest.mark.parametrize("row", [row for row in COMMANDS if not row.verbatim], ids=lambda row: row.name)
def test_options_that_every_command_is_asked_for(row: Command) -> None:
    """What is the same for all commands is answered at each."""
    for name, hint in COMMON.items():
        with pytest.raises(UsageError) as caught:
            run([*row.name.split(), name], caller())
        assert caught.value.hint == hint
