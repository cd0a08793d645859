"""The names of commands."""

from __future__ import annotations

from builder.commands.names import GROUPS, NAMES, VERBATIM
from builder.commands.table import COMMANDS


def test_they_are_those_of_the_table() -> None:
    """Every first word of the table is a name, in its order; so are the groups and what takes all that follows."""
    assert ("build", *dict.fromkeys(row.name.split()[0] for row in COMMANDS)) == NAMES
    assert {row.name.split()[0] for row in COMMANDS if " " in row.name} == set(GROUPS)
    assert {row.name for row in COMMANDS if row.verbatim} == VERBATIM
