"""Every command but `build`, as one table: what click makes of it, what the help says, and the module that does it.

A new command is a row here and a module of its own with `run(line: Line, caller: Caller) -> int`. No click here.
"""

from __future__ import annotations

from dataclasses import dataclass

from builder.commands.options import Group, Option


@dataclass(frozen=True, slots=True)
class Word:
    """An argument: how the help calls it, whether there may be several, and whether it may be left out."""

    name: str
    several: bool = False
    optional: bool = False

    @property
    def key(self) -> str:
        """Where a Line has it."""
        return self.name.lower().replace("-", "_")


@dataclass(frozen=True, slots=True)
class Command:
    """A command. `name` may be two words (`store check`); `module` is in builder.commands.

    With `verbatim` all that follows the first word is the words', options included. Help lists `options` in this order.
    """

    name: str
    summary: str
    text: str
    module: str
    words: tuple[Word, ...] = ()
    options: tuple[Option, ...] = ()
    verbatim: bool = False

    @property
    def usage(self) -> str:
        """The line of use, without the program's name."""
        words = [_shown(word) for word in self.words]
        return " ".join([self.name, *(["[OPTIONS]"] if self.options and not self.verbatim else []), *words])


def _shown(word: Word) -> str:
    text = f"{word.name} ..." if word.several else word.name
    return f"[{text}]" if word.optional else text


ROOT = Option(("--root",), Group.OTHER, "the store (else $PYBUILD_ROOT, else XDG data)", "DIR")
FORMAT = Option(("--format",), Group.OTHER, "table for people (default), json for programs", "FORM")

COMMANDS: tuple[Command, ...] = (
    Command("images", "list the images of the store", "List the images of the store.", "images", (), (FORMAT, ROOT)),
    Command(
        "inspect",
        "show an image's config and layers",
        "Show an image's config, and its layers with their sizes and the instruction that made each. IMAGE is a name, "
        "a digest or the beginning of one, or oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE.",
        "inspect",
        (Word("IMAGE"),),
        (FORMAT, ROOT),
    ),
    Command(
        "store check",
        "look for damage in the store",
        "Look for damage in the store. The exit code is 7 if there is any.",
        "check",
        (),
        (ROOT,),
    ),
    Command(
        "unshare",
        "run a command in the user namespace",
        "Run a command, or your shell, as root of the user namespace that builds use, to look at or remove files that "
        "belong to subordinate ids. The exit code is the command's.",
        "unshare",
        (Word("COMMAND", several=True, optional=True),),
        verbatim=True,
    ),
)

GROUPS: dict[str, str] = {"store": "Look after the store."}
"""First words of commands of two words, and what they are about."""

NAMES = ("build", *dict.fromkeys(command.name.split()[0] for command in COMMANDS))
"""The first words that name a command."""
