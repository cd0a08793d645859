"""The table of options."""

from __future__ import annotations

import dataclasses

from builder.commands.options import OPTIONS, BuildOptions
from builder.commands.refused import REFUSED


def test_the_table_and_the_value_agree() -> None:
    """Every option has its field, of the type that the table says, and every field but the context its option."""
    fields = {field.name: field.type for field in dataclasses.fields(BuildOptions)}
    assert {option.key for option in OPTIONS} == set(fields) - {"context"}
    for option in OPTIONS:
        expected = "bool" if not option.value else "tuple[str, ...]" if option.several else "str | None"
        assert fields[option.key] == expected, option.title


def test_names_are_used_once() -> None:
    """No two options share a name, and none is refused at the same time."""
    names = [name for option in OPTIONS for name in option.names]
    assert len(names) == len(set(names))
    assert not set(names) & set(REFUSED)


def test_long_names_come_last() -> None:
    """The key of an option is its long name."""
    assert all(option.names[-1].startswith("--") for option in OPTIONS)
    assert {option.title for option in OPTIONS} >= {"-t/--tag", "--build-arg", "-o/--output"}
