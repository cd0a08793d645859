"""The text of every `--help`, from the table of options: grouped, in two columns, at most 80 wide. No click here."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from builder.commands.options import OPTIONS, Group, Option

COMMANDS: tuple[tuple[str, str], ...] = (
    ("build", "build an image (the default command)"),
    ("images", "list the images of the store"),
    ("inspect", "show an image's config and layers"),
    ("store check", "look for damage in the store"),
    ("unshare", "run a command in the user namespace"),
)

_HELP_ROW = ("-h, --help", "this text")
_ROOT_ROW = ("    --root DIR", "the store (else $PYBUILD_ROOT, else XDG data)")
_FORMAT_ROW = ("    --format table|json", "for people (default), or for programs")


@dataclass(frozen=True, slots=True)
class CommandHelp:
    """The help of a command other than build: its line of use, what it does, its options."""

    usage: str
    text: str
    rows: tuple[tuple[str, str], ...] = ()


OTHERS: Mapping[str, CommandHelp] = {
    "images": CommandHelp("images [OPTIONS]", "List the images of the store.", (_FORMAT_ROW, _ROOT_ROW)),
    "inspect": CommandHelp(
        "inspect [OPTIONS] IMAGE",
        "Show an image's config, and its layers with their sizes and the instruction that made each. IMAGE is a name, "
        "a digest or the beginning of one, or oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE.",
        (_FORMAT_ROW, _ROOT_ROW),
    ),
    "store": CommandHelp("store check [OPTIONS]", "Look after the store: `store check` looks for damage."),
    "check": CommandHelp(
        "store check [OPTIONS]", "Look for damage in the store. The exit code is 7 if there is any.", (_ROOT_ROW,)
    ),
    "unshare": CommandHelp(
        "unshare [COMMAND [ARGUMENT ...]]",
        "Run a command, or your shell, as root of the user namespace that builds use, to look at or remove files that "
        "belong to subordinate ids. The exit code is the command's.",
    ),
}

_WIDTH = 80
_COLUMN = 35
_EXAMPLE = "pybuild -f Buildfile -t app:1 ."
_FOOT = (
    "CONTEXT is a directory, - (a tar or a Buildfile on standard input), or the URL of a git repository or a tar. "
    "Without -f its Buildfile is Buildfile, Containerfile or Dockerfile, the first that is "
    "there. Options marked * can be given several times."
)


def build_help() -> str:
    """The help of `pybuild` and `pybuild build`."""
    parts = [
        "Usage: pybuild [OPTIONS] CONTEXT\n       pybuild COMMAND [...]",
        f"Build a container image from a Buildfile, without root:\n\n    {_EXAMPLE}",
        *(_section(group, _rows(group)) for group in Group),
        _section("Commands", list(COMMANDS)),
        textwrap.fill(_FOOT, _WIDTH),
    ]
    return "\n\n".join(parts) + "\n"


def command_help(name: str) -> str:
    """The help of one of the other commands."""
    command = OTHERS[name]
    rows = [*command.rows, _HELP_ROW]
    return f"Usage: pybuild {command.usage}\n\n{textwrap.fill(command.text, _WIDTH)}\n\n{_section('Options', rows)}\n"


def _rows(group: Group) -> list[tuple[str, str]]:
    rows = [_row(option) for option in OPTIONS if option.group is group]
    return [*rows, _HELP_ROW, ("    --version", "the version")] if group is Group.OTHER else rows


def _row(option: Option) -> tuple[str, str]:
    names = ", ".join(option.names)
    if len(option.names) == 1:
        names = " " * 4 + names
    return f"{names} {option.value}".rstrip() + (" *" if option.several else ""), option.help


def _section(title: str, rows: list[tuple[str, str]]) -> str:
    return "\n".join([f"{title}:", *(line for left, right in rows for line in _columns(left, right))])


def _columns(left: str, right: str) -> list[str]:
    """One row: the right column on its own line where the left one is too wide for it."""
    wrapped = textwrap.wrap(right, _WIDTH - _COLUMN)
    if len(left) + 4 > _COLUMN:
        return [f"  {left}", *(" " * _COLUMN + line for line in wrapped)]
    return [f"  {left}".ljust(_COLUMN) + wrapped[0], *(" " * _COLUMN + line for line in wrapped[1:])]
