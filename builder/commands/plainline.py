"""Plain command lines, read from the tables of options and commands without click, whose import takes longer than most
commands.

Only what has one meaning is read here: options of the table with their values, and the words that a command has; of a
build one context that is there. For all else (help, mistakes, shorter ways to write options) the answer is None, and
click reads the line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from builder.commands.names import GROUPS, NAMES
from builder.commands.options import OPTIONS, BuildOptions, Option

if TYPE_CHECKING:  # the table of the other commands is nothing that a build needs
    from builder.commands.line import Line, Value
    from builder.commands.table import Command, Word


def read_plain(words: Sequence[str], directory: Path) -> BuildOptions | None:
    """The options of a plain build as click would read them, or None; the context is looked for in `directory`."""
    read = _read(words[1:] if words[:1] == ["build"] else words, OPTIONS)
    if read is None:
        return None
    found, places = read
    if len(places) != 1 or not _is_there(places[0], directory):
        return None
    return BuildOptions(context=places[0], **found)  # type: ignore[arg-type]  # a test holds table and fields together


def read_command(words: Sequence[str]) -> tuple[Command, Line] | None:
    """Another command and its line, as click would read it, or None."""
    if not words or words[0] not in NAMES:
        return None
    from builder.commands.line import Line
    from builder.commands.table import COMMANDS

    count = 2 if words[0] in GROUPS else 1
    row = next((row for row in COMMANDS if row.name.split() == [*words[:count]] and not row.verbatim), None)
    read = _read(words[count:], row.options) if row else None
    values = _placed(row.words, read[1]) if row and read else None
    if row is None or read is None or values is None:
        return None
    absent = {option.key: () if option.several else None if option.value else False for option in row.options}
    return row, Line({**absent, **read[0], **values})


def _read(words: Sequence[str], table: Iterable[Option]) -> tuple[dict[str, Value], list[str]] | None:
    """The options of a line by their keys, and its other words."""
    found: dict[str, Value] = {}
    places: list[str] = []
    options = {name: option for option in table for name in option.names}
    rest = list(words)[::-1]
    while rest:
        word = rest.pop()
        name, equals, value = word.partition("=")
        option = options.get(name)
        if option is None:
            if not word or word.startswith("-"):
                return None
            places.append(word)
        elif not option.value:
            if equals:
                return None
            found[option.key] = True
        else:
            if not equals and (not rest or rest[-1].startswith("-") or rest[-1] == ""):
                return None
            if equals and not name.startswith("--"):
                return None
            value = value if equals else rest.pop()
            before = found.get(option.key, ())
            found[option.key] = (*before, value) if option.several and isinstance(before, tuple) else value
    return found, places


def _placed(words: Sequence[Word], places: Sequence[str]) -> dict[str, Value] | None:
    """The words of a command by their keys; None where there are too few or too many."""
    values: dict[str, Value] = {}
    rest = list(places)
    for word in words:
        if not rest and not word.optional:
            return None
        if word.several:
            if word is not words[-1]:
                return None
            values[word.key], rest = tuple(rest), []
        else:
            values[word.key] = rest.pop(0) if rest else None
    return None if rest else values


def _is_there(context: str, directory: Path) -> bool:
    """Whether a word can only be a context: no command, and something of that name is there."""
    return context not in NAMES and "\0" not in context and os.path.lexists(directory / context)
