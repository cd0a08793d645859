"""The line of a plain build, read from the table of options without click, whose import takes longer than the reading
of a Buildfile.

Only what has one meaning is read here: options of the table with their values, and one context that is there. For all
else (help, mistakes, other commands, shorter ways to write options) the answer is None, and click reads the line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from builder.commands.names import NAMES
from builder.commands.options import OPTIONS, BuildOptions


def read_plain(words: Sequence[str], directory: Path) -> BuildOptions | None:
    """The options of a plain build as click would read them, or None; the context is looked for in `directory`."""
    found: dict[str, str | bool | tuple[str, ...]] = {}
    options = {name: option for option in OPTIONS for name in option.names}
    rest = list(words[1:] if words[:1] == ["build"] else words)[::-1]
    while rest:
        name, equals, value = rest.pop().partition("=")
        option = options.get(name)
        if option is None:
            context = name + equals + value
            if "context" in found or not _is_there(context, directory):
                return None
            found["context"] = context
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
    if "context" not in found:
        return None
    return BuildOptions(**found)  # type: ignore[arg-type]  # a test holds the table and the fields together


def _is_there(context: str, directory: Path) -> bool:
    """Whether a word can only be a context: no option, no command, and something of that name is there."""
    if not context or context.startswith("-") or context in NAMES or "\0" in context:
        return False
    return os.path.lexists(directory / context)
