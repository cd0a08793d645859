"""What people may have meant by words that this command line has no place for: misspelt commands, commands of docker,
podman, buildah and skopeo, words too many and too few. Each becomes a UsageError; no click here, and no effects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from builder.commands.names import NAMES
from builder.commands.options import Group, Option
from builder.commands.refused import refusal_of
from builder.commands.table import COMMANDS, Command
from builder.errors import UsageError
from builder.lang.suggest import nearest

HELP: Final = "`pybuild --help` lists options and commands"

_FAMILIES = ("image", "images", "builder", "buildx", "system", "container", "docker", "podman", "buildah", "skopeo")
_NO_CONTAINERS = "pybuild runs no containers: `pybuild save NAME | podman load`, then `podman run`"
_NO_BUILDERS = "there is no daemon and so no builder to look after: `pybuild .` builds"

ELSEWHERE: Final[Mapping[str, str]] = {
    "bud": "`pybuild build`",
    "buildx create": _NO_BUILDERS,
    "buildx ls": _NO_BUILDERS,
    "buildx use": _NO_BUILDERS,
    "check": "`pybuild store check` looks for damage, `pybuild --check .` at a Buildfile",
    "clean": "`pybuild prune`",
    "commit": "images come from Buildfiles alone: `pybuild .`",
    "create": _NO_CONTAINERS,
    "df": "`pybuild du`",
    "exec": _NO_CONTAINERS,
    "export": "`pybuild -o FILE.tar,type=tar .`, or `pybuild copy` for an image that is there",
    "from": "images come from Buildfiles alone: `pybuild .`",
    "gc": "`pybuild prune`",
    "help": "`pybuild --help` lists options and commands, `pybuild COMMAND --help` explains one",
    "image": "`pybuild images` lists them; inspect, tag, rmi and the others are commands of their own",
    "image list": "`pybuild images`",
    "image ls": "`pybuild images`",
    "image rm": "`pybuild rmi`",
    "import": "`pybuild pull rootfs:FILE`, or FROM rootfs:FILE in a Buildfile",
    "info": "`pybuild config` shows the settings, `pybuild du` the store",
    "list": "`pybuild images`",
    "list-tags": "`skopeo list-tags` asks a registry; `pybuild images NAME` lists what is here",
    "manifest": "images are built and pushed one at a time; join them with `podman manifest`",
    "mount": "`pybuild ls` and `pybuild cat` look into images; -o DIR writes the files of one",
    "ps": _NO_CONTAINERS,
    "remove": "`pybuild rmi`",
    "rm": "`pybuild rmi`",
    "run": _NO_CONTAINERS,
    "search": "registries have no search that all of them know; try the one's web page",
    "settings": "`pybuild config`",
    "show": "`pybuild inspect`",
    "start": _NO_CONTAINERS,
    "stop": _NO_CONTAINERS,
    "system df": "`pybuild du`",
    "untag": "`pybuild rmi`",
    "version": "`pybuild --version`",
}
"""Commands of other tools, of one word or two, and what does that here."""


def check_context(word: str) -> None:
    """Raise UsageError for a word that is no directory and was meant for a command, as far as its letters tell."""
    if word in NAMES:
        raise UsageError(f"{word} is a command, which stands first", hint=f"it is written: pybuild {word} [OPTIONS]")
    if word in ELSEWHERE or nearest(word, NAMES) is not None:
        raise no_command([word])


def no_command(words: Sequence[str]) -> UsageError:
    """The error for words of which the first is neither a command nor a directory."""
    return UsageError(f"there is no command {words[0]!r}", hint=_meant(words))


def no_command_of(group: str, word: str | None) -> UsageError:
    """The error for a second word of a command of two (`store prune`) that there is not, or that is missing."""
    inner = [row.name.split()[1] for row in COMMANDS if row.name.startswith(f"{group} ")]
    there = "it is written: " + " or ".join(f"pybuild {group} {name}" for name in inner)
    if word is None:
        return UsageError(f"{group}: its second word is missing", hint=there)
    near = nearest(word, inner)
    meant = f"{group} {near}" if near else word if word in NAMES else None
    hint = f"did you mean `pybuild {meant}`?" if meant else there
    return UsageError(f"there is no command '{group} {word}'", hint=hint)


def no_option(row: Command, name: str) -> UsageError:
    """The error for an option that a command does not have."""
    refusal = refusal_of(row.name, name)
    if refusal is not None:
        return UsageError(f"{name} is not supported", hint=refusal)
    near = nearest(name, [each for option in row.options for each in option.names if each.startswith("--")])
    what = "" if row.name == "build" else f"{row.name}: "
    return UsageError(
        f"{what}there is no option {name}",
        hint=f"did you mean {near}?" if near and name.startswith("--") else f"`pybuild {row.name} --help` lists them",
    )


def bad_value(row: Command, name: str) -> UsageError:
    """The error for an option without the value that it needs, or with one that it has no use for."""
    option = next((option for option in row.options if name in option.names), Option((name,), Group.OTHER, ""))
    if not option.value:
        return UsageError(f"{option.title}: takes no value", hint=f"it is written {name}")
    return UsageError(f"{option.title}: its value is missing", hint=f"it is written {option.names[0]} {option.value}")


def too_many(row: Command, words: Sequence[str]) -> UsageError:
    """The error for words that a command has no use for."""
    said = ", ".join(map(repr, words))
    return UsageError(f"{row.name}: {said} {'is' if len(words) == 1 else 'are'} too much", hint=_written(row))


def missing_word(row: Command, word: str) -> UsageError:
    """The error for a word that must be there."""
    return UsageError(f"{row.name}: {word} is missing", hint=_written(row))


def _meant(words: Sequence[str]) -> str:
    first, two = words[0], " ".join(words[:2])
    if two in ELSEWHERE:
        return ELSEWHERE[two]
    if first in _FAMILIES and len(words) > 1 and words[1] in NAMES:
        return f"did you mean `pybuild {words[1]}`?"
    if first in ELSEWHERE:
        return ELSEWHERE[first]
    near = nearest(first, NAMES)
    return f"did you mean `pybuild {near}`?" if near else f"{HELP}; a directory to build must be there"


def _written(row: Command) -> str:
    return f"it is written: pybuild {row.usage}"
