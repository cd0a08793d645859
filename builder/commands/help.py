"""The text of every `--help`, from the table of options: grouped, in two columns, at most 80 wide. No click here."""

from __future__ import annotations

import textwrap

from builder.commands.names import GROUPS
from builder.commands.options import OPTIONS, Group, Option
from builder.commands.table import COMMANDS, Command

_HELP_ROW = ("-h, --help", "this text")

_WIDTH = 80
_COLUMN = 35
_EXAMPLE = "pybuild -f Buildfile -t app:1 ."
_FOOT = (
    "CONTEXT is a directory, - (a tar or a Buildfile on standard input), or the URL of a git repository or a tar. "
    "Without -f its Buildfile is Buildfile, Containerfile or Dockerfile, the first that is "
    "there. "
)
_SEVERAL = "Options marked * can be given several times."


def build_help() -> str:
    """The help of `pybuild` and `pybuild build`."""
    parts = [
        "Usage: pybuild [OPTIONS] CONTEXT\n       pybuild COMMAND [...]",
        f"Build a container image from a Buildfile, without root:\n\n    {_EXAMPLE}",
        *(_section(group, _rows(group)) for group in Group),
        _section("Commands", _commands()),
        _filled(_FOOT + _SEVERAL),
    ]
    return "\n\n".join(parts) + "\n"


def command_help(row: Command) -> str:
    """The help of one of the other commands."""
    rows = [*map(_row, row.options), _HELP_ROW]
    parts = [f"Usage: pybuild {row.usage}", _filled(row.text), _section("Options", rows)]
    if any(option.several for option in row.options):
        parts.append(_SEVERAL)
    return "\n\n".join(parts) + "\n"


def group_help(name: str) -> str:
    """The help of the first word of commands of two words."""
    rows = [(row.name, row.summary) for row in COMMANDS if row.name.split()[0] == name]
    return f"Usage: pybuild {name} COMMAND [...]\n\n{GROUPS[name]}\n\n{_section('Commands', rows)}\n"


def _commands() -> list[tuple[str, str]]:
    return [("build", "build an image (the default command)"), *((row.name, row.summary) for row in COMMANDS)]


def _rows(group: Group) -> list[tuple[str, str]]:
    rows = [_row(option) for option in OPTIONS if option.group is group]
    return [*rows, _HELP_ROW, ("    --version", "the version")] if group is Group.OTHER else rows


def _row(option: Option) -> tuple[str, str]:
    names = ", ".join(option.names)
    if option.names[0].startswith("--"):
        names = " " * 4 + names
    return f"{names} {option.value}".rstrip() + (" *" if option.several else ""), option.help


def _section(title: str, rows: list[tuple[str, str]]) -> str:
    return "\n".join([f"{title}:", *(line for left, right in rows for line in _columns(left, right))])


def _columns(left: str, right: str) -> list[str]:
    """One row: the right column on its own line where the left one is too wide for it."""
    wrapped = textwrap.wrap(right, _WIDTH - _COLUMN, break_on_hyphens=False)
    if len(left) + 4 > _COLUMN:
        return [f"  {left}", *(" " * _COLUMN + line for line in wrapped)]
    return [f"  {left}".ljust(_COLUMN) + wrapped[0], *(" " * _COLUMN + line for line in wrapped[1:])]


def _filled(text: str) -> str:
    """The text in lines; names such as oci-archive:FILE stay whole."""
    return textwrap.fill(text, _WIDTH, break_on_hyphens=False)
