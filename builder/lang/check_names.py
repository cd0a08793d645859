"""Build checks that follow names: ARG and ENV, where they are declared and where they are used. Values do not matter.

Source: the published rules of Docker's build checks; BuildKit's frontend for their exact conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from builder.declare import dataclass
from builder.errors import BuildfileError
from builder.lang.findings import Finding, Item, found, parents_of
from builder.lang.mount import parse_mount
from builder.lang.suggest import nearest
from builder.lang.words import Expanded, Rules, examine, unmatched
from builder.values.instruction import (
    Add,
    Arg,
    Block,
    Buildfile,
    Copy,
    Env,
    Expose,
    From,
    Heredoc,
    Instruction,
    Label,
    Run,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from builder.values.platform import Platform
from builder.values.reference import Reference

NamesOf = Callable[[Block], Collection[str] | None]
"""The names that ENV sets in the image that a block starts from; None where that is not known."""

_PLATFORM_ARGS = {
    "BUILDPLATFORM": "linux/amd64",
    "BUILDOS": "linux",
    "BUILDOSVERSION": "",
    "BUILDARCH": "amd64",
    "BUILDVARIANT": "",
    "TARGETPLATFORM": "linux/amd64",
    "TARGETOS": "linux",
    "TARGETOSVERSION": "",
    "TARGETARCH": "amd64",
    "TARGETVARIANT": "",
    "TARGETSTAGE": "default",
}
_ALWAYS = frozenset(("PATH",))
_ANY_VALUE = "x"
_NOT_CHECKED = frozenset(("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"))
_TRANSPORTS = (
    *("oci:", "oci-archive:", "oci-layout://", "docker-archive:", "docker://", "docker-image://", "rootfs:"),
    *("/", "./", "../"),
)


def only_scratch(block: Block) -> Collection[str] | None:
    """What is known of bases without looking: scratch sets nothing."""
    return () if block.from_.image == "scratch" else None


def from_findings(buildfile: Buildfile, items: tuple[Item, ...]) -> Iterator[Finding]:
    """UndefinedArgInFrom, InvalidDefaultArgInFrom, RedundantTargetPlatform, FromPlatformFlagConstDisallowed."""
    escape = buildfile.directives.escape
    declared, defaults = _globals(buildfile)
    suggester = _Suggester("")
    for item in items:
        from_ = item.instruction
        if not isinstance(from_, From):
            continue
        for word in (from_.image, from_.platform or ""):
            for name in sorted(unmatched(word, declared, escape)):
                message = f"FROM argument '{name}' is not declared{suggester.near(name, declared)}"
                yield found("UndefinedArgInFrom", message, item)
        image = _examined(from_.image, defaults, escape)
        # A name without variables has no default to be at fault; what is wrong with it is an error of its own.
        if image is not None and (image.matched or image.unmatched) and not _may_be_image(image.text):
            message = f"Default value for ARG {from_.image} results in empty or invalid base image name"
            yield found("InvalidDefaultArgInFrom", message, item)
        if from_.platform is not None:
            yield from _of_platform(item, from_, defaults, escape)


def undefined_findings(buildfile: Buildfile, items: tuple[Item, ...], names_of: NamesOf) -> Iterator[Finding]:
    """UndefinedVar, in the blocks whose bases are known."""
    escape = buildfile.directives.escape
    parents = parents_of(buildfile)
    suggester = _Suggester("$")
    known: dict[int, dict[str, str] | None] = {}
    for item in items:
        if item.block is None:
            continue
        index = item.block.index
        if isinstance(item.instruction, From):
            known[index] = _names_at_start(item.block, known, parents[index], names_of)
            continue
        names = known[index]
        if names is None:
            continue
        for name in sorted(_unknown(item.instruction, names, escape)):
            message = f"Usage of undefined variable '${name}'{suggester.near(name, names)}"
            yield found("UndefinedVar", message, item)
        if isinstance(item.instruction, Env | Arg):
            names.update((name, _ANY_VALUE) for name, _ in item.instruction.pairs)


def _globals(buildfile: Buildfile) -> tuple[dict[str, str], dict[str, str]]:
    """The names that FROM lines know, with any value, and those that have one by default, with that."""
    defaults = dict(_PLATFORM_ARGS)
    declared = dict.fromkeys(defaults, _ANY_VALUE)
    for instruction in buildfile.global_args:
        for name, default in instruction.pairs:
            declared[name] = _ANY_VALUE
            value = None if default is None else _examined(default, defaults, buildfile.directives.escape)
            if value is not None:
                defaults[name] = value.text
    return declared, defaults


def _examined(word: str, scope: dict[str, str], escape: str) -> Expanded | None:
    """A word's expansion; None where it fails, which the plan will say."""
    try:
        return examine(word, scope, Rules(escape))
    except BuildfileError:
        return None


def _may_be_image(name: str) -> bool:
    if name.startswith(_TRANSPORTS):
        return True
    try:
        Reference.parse(name)
    except ValueError:
        return False
    return True


def _of_platform(item: Item, from_: From, defaults: dict[str, str], escape: str) -> Iterator[Finding]:
    word = from_.platform or ""
    seen = _examined(word, defaults, escape)
    if seen is None or seen.unmatched:
        return
    if seen.matched == {"TARGETPLATFORM"} and seen.text == defaults["TARGETPLATFORM"]:
        message = f"Setting platform to predefined {word} in FROM is redundant as this is the default behavior"
        yield found("RedundantTargetPlatform", message, item)
    if seen.matched:
        return
    try:
        platform = Platform.parse(seen.text)
    except ValueError:
        return
    name = from_.alias or ""
    if platform.os not in name and platform.architecture not in name:
        message = f'FROM --platform flag should not use constant value "{seen.text}"'
        yield found("FromPlatformFlagConstDisallowed", message, item)


def _names_at_start(
    block: Block, known: dict[int, dict[str, str] | None], parent: int | None, names_of: NamesOf
) -> dict[str, str] | None:
    """The names that a block's FROM brings: those of the block it builds on, or of its base."""
    if parent is not None:
        names = known[parent]
        return None if names is None else dict(names)
    base = names_of(block)
    return None if base is None else dict.fromkeys((*_ALWAYS, *base), _ANY_VALUE)


def _unknown(instruction: Instruction | From, scope: dict[str, str], escape: str) -> frozenset[str]:
    """The names that an instruction uses and nobody has declared."""
    unknown: set[str] = set()
    for word in _words(instruction):
        unknown |= unmatched(word, scope, escape)
    for body in _bodies(instruction):
        if body.expand:
            unknown |= unmatched(body.body, scope)
    return frozenset(unknown - _NOT_CHECKED)


def _words(instruction: Instruction | From) -> Iterator[str]:
    """The words of an instruction in which variables are replaced."""
    match instruction:
        case Env(pairs=pairs) | Label(pairs=pairs):
            for pair in pairs:
                yield from pair
        case Arg(pairs=defaults):
            yield from (value for _, value in defaults if value is not None)
        case Copy() | Add():
            yield from (*instruction.sources, instruction.destination)
            yield from (word for word in (instruction.chown, instruction.chmod) if word is not None)
        case Run(mounts=mounts):
            for mount in mounts:
                yield from _mount_words(mount)
        case Workdir(path=word) | User(user=word) | StopSignal(signal=word):
            yield word
        case Expose(ports=words) | Volume(paths=words):
            yield from words
        case _:
            pass


def _mount_words(mount: str) -> list[str]:
    words: list[str] = []

    def collect(word: str) -> str:
        words.append(word)
        return word

    try:
        parse_mount(mount, collect)
    except BuildfileError:
        pass  # the plan will say what is wrong with it
    return words


def _bodies(instruction: Instruction | From) -> tuple[Heredoc, ...]:
    return instruction.inline if isinstance(instruction, Copy | Add) else ()


@dataclass(slots=True)
class _Suggester:
    """Finds what people meant, a few times in a file: comparing every name with every other has no bound."""

    mark: str
    left: int = 20

    def near(self, name: str, known: Collection[str]) -> str:
        if not self.left or len(known) > 200:
            return ""
        self.left -= 1
        near = nearest(name, known)
        return f" (did you mean {self.mark}{near}?)" if near else ""
