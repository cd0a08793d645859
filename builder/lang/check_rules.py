"""Build checks that look at the text and at instructions, not at the values of names (those are in `lang.check_names`).

Source: the published rules of Docker's build checks; BuildKit's frontend for their exact conditions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from posixpath import normpath

from builder.declare import dataclass
from builder.lang.credentials import credential_in
from builder.lang.findings import Finding, Item, found, parents_of
from builder.lang.ignore import IgnoreRules
from builder.pattern import pattern
from builder.values.instruction import (
    Add,
    Arg,
    Buildfile,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    HealthcheckInstruction,
    Label,
    Maintainer,
    Shell,
    ShellForm,
    Workdir,
)

CREDENTIAL_RULE = "CredentialInValue"
"""Ours: BuildKit's SecretsUsedInArgOrEnv goes by names. A finding never repeats the value."""

_RESERVED = ("context", "scratch")
_SECRET = pattern(r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE)
_NO_SECRET = pattern(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)
_WHOLE_CONTEXT = ("*", "**", "**/*")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A base that is for another platform than the one it was asked for."""

    image: str
    expected: str
    actual: str


def platform_findings(items: tuple[Item, ...], bases: Mapping[int, Mismatch]) -> Iterator[Finding]:
    """InvalidBaseImagePlatform: bases (by the number of their block) that are for another platform."""
    for item in items:
        base = bases.get(item.block.index) if isinstance(item.instruction, From) and item.block else None
        if base is not None:
            wanted = f'expected "{base.expected}" for current build'
            message = f'Base image {base.image} was pulled with platform "{base.actual}", {wanted}'
            yield found("InvalidBaseImagePlatform", message, item)


def text_findings(buildfile: Buildfile, items: tuple[Item, ...]) -> Iterator[Finding]:
    """The findings of the rules of this module for which the text is enough."""
    for item in items:
        yield from _of_any(item)
        match item.instruction:
            case From():
                yield from _of_from(item)
            case Env() | Label() | Arg():
                yield from _of_pairs(item, item.instruction)
            case Expose(ports=ports):
                yield from _of_ports(item, ports)
            case Maintainer():
                message = "Maintainer instruction is deprecated in favor of using label"
                yield found("MaintainerDeprecated", message, item)
            case Add(sources=sources):
                yield from _of_sources(item, sources)
            case _:
                pass
    yield from _casing(items)
    yield from _stage_names(items)
    yield from _repeated(items)
    yield from _inherited(buildfile, items)


def ignored_findings(items: tuple[Item, ...], rules: IgnoreRules) -> Iterator[Finding]:
    """CopyIgnoredFile: sources that the ignore file hides. With `!` in it, nothing can be said for sure."""
    if rules.taken_back:
        return
    everything = any(pattern in _WHOLE_CONTEXT for pattern in rules.patterns)
    for item in items:
        instruction = item.instruction
        if not isinstance(instruction, Copy | Add) or (isinstance(instruction, Copy) and instruction.from_):
            continue
        for source in instruction.sources:
            if "$" in source or "://" in source or source.startswith("git@"):
                continue
            path = normpath(source).lstrip("/") or "."
            if everything if path == "." else rules.excludes(path):
                verb = "Copy" if isinstance(instruction, Copy) else "Add"
                message = f'Attempting to {verb} file "{path}" that is excluded by .dockerignore'
                yield found("CopyIgnoredFile", message, item)


def _of_any(item: Item) -> Iterator[Finding]:
    line = item.line
    if line.blank_lines:
        span = type(line.span)(line.span.source, line.blank_lines[0], line.blank_lines[0])
        yield Finding("NoEmptyContinuation", "Empty continuation line", item, span)
    names: tuple[str, ...] = ()
    if isinstance(item.instruction, Arg):
        names = tuple(name for name, _ in item.instruction.pairs)
    elif isinstance(item.instruction, From) and item.instruction.alias:
        names = (item.instruction.alias,)
    if names and line.comments and line.comments[-1].split(" ")[0] not in names:
        example = names[0] if len(names) == 1 else "<arg_key>"
        kind = item.written_name.upper()
        message = f"Comment for {kind} should follow the format: `# {example} <description>`"
        yield found("InvalidDefinitionDescription", message, item)


def _of_from(item: Item) -> Iterator[Finding]:
    args = item.line.statement.args
    if len(args) != 3:
        return
    name = item.written_name
    if args[2] != args[2].lower():
        yield found("StageNameCasing", f"Stage name '{args[2]}' should be lowercase", item)
    wanted = args[1].lower() if name == name.lower() else args[1].upper()
    if name in (name.lower(), name.upper()) and args[1] != wanted:
        yield found("FromAsCasing", f"'{args[1]}' and '{name}' keywords' casing do not match", item)


def _of_pairs(item: Item, instruction: Env | Label | Arg) -> Iterator[Finding]:
    name = item.written_name
    if not isinstance(instruction, Arg) and instruction.legacy:
        message = f'"{name} key=value" should be used instead of legacy "{name} key value" format'
        yield found("LegacyKeyValueFormat", message, item)
    for key, value in instruction.pairs:
        kind = credential_in(value) if value else None
        if kind is not None:
            yield found(CREDENTIAL_RULE, _shown_to_all(f'The value of {name.upper()} "{key}"', kind), item)
    if isinstance(instruction, Label) or item.block is None:
        return
    for key, _ in instruction.pairs:
        if _SECRET.search(key) and not _NO_SECRET.search(key):
            message = f'Do not use ARG or ENV instructions for sensitive data ({name.upper()} "{key}")'
            yield found("SecretsUsedInArgOrEnv", message, item)


def _of_sources(item: Item, sources: tuple[str, ...]) -> Iterator[Finding]:
    for kind in filter(None, map(credential_in, sources)):
        yield found(CREDENTIAL_RULE, _shown_to_all("A source of ADD", kind), item)


def given_credentials(items: tuple[Item, ...], build_args: Mapping[str, str]) -> Iterator[Finding]:
    """The rule about credentials for what the command line gives to an ARG."""
    for item in items:
        if isinstance(item.instruction, Arg):
            for name, _ in item.instruction.pairs:
                kind = credential_in(build_args.get(name, ""))
                if kind is not None:
                    yield found(CREDENTIAL_RULE, _shown_to_all(f'The value of --build-arg "{name}"', kind), item)


def _shown_to_all(what: str, kind: str) -> str:
    return f"{what} looks like {kind}; who has the image can read it: use RUN --mount=type=secret"


def _of_ports(item: Item, ports: tuple[str, ...]) -> Iterator[Finding]:
    for port in ports:
        if "$" in port:
            continue
        protocol = port.rpartition(":")[2].partition("/")[2]
        if protocol != protocol.lower():
            message = f"Defined protocol '{port}' in EXPOSE instruction should be lowercase"
            yield found("ExposeProtoCasing", message, item)
        if port.rpartition(":")[0]:
            message = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
            yield found("ExposeInvalidFormat", message, item)


def _casing(items: tuple[Item, ...]) -> Iterator[Finding]:
    """All names in capitals or all in small letters, as most of them are."""
    inside = [item for item in items if item.block is not None]
    lower = sum(item.written_name == item.written_name.lower() for item in inside)
    upper = sum(item.written_name == item.written_name.upper() for item in inside)
    word, recase = ("lowercase", str.lower) if lower > upper else ("uppercase", str.upper)
    for item in inside:
        name = item.written_name
        if name != recase(name):
            message = f"Command '{name}' should match the case of the command majority ({word})"
            yield found("ConsistentInstructionCasing", message, item)


def _stage_names(items: tuple[Item, ...]) -> Iterator[Finding]:
    seen: set[str] = set()
    for item in items:
        name = item.instruction.alias if isinstance(item.instruction, From) else None
        if name is None:
            continue
        if name in _RESERVED:
            message = f'Stage name should not use the same name as reserved stage "{name}"'
            yield found("ReservedStageName", message, item)
        if name in seen:
            message = f'Duplicate stage name "{name}", stage names should be unique'
            yield found("DuplicateStageName", message, item)
        seen.add(name)


def _repeated(items: tuple[Item, ...]) -> Iterator[Finding]:
    """CMD, ENTRYPOINT and HEALTHCHECK again in one block; the earlier one is pointed at, as it has no effect."""
    before: dict[tuple[int, str], Item] = {}
    for item in items:
        if item.block is None or not isinstance(item.instruction, Cmd | Entrypoint | HealthcheckInstruction):
            continue
        key = (item.block.index, item.written_name.upper())
        if key in before:
            message = (
                f"Multiple {item.written_name} instructions should not be used in the same stage "
                "because only the last one will be used"
            )
            yield Finding("MultipleInstructionsDisallowed", message, item, before[key].line.span)
        before[key] = item


def _inherited(buildfile: Buildfile, items: tuple[Item, ...]) -> Iterator[Finding]:
    """Rules about what a block has from those it builds on: a SHELL, a WORKDIR."""
    parents = parents_of(buildfile)
    with_shell: set[int] = set()
    with_workdir: set[int] = set()
    for item in items:
        if item.block is None:
            continue
        index, parent = item.block.index, parents[item.block.index]
        match item.instruction:
            case From():
                with_shell |= {index} if parent in with_shell else set()
                with_workdir |= {index} if parent in with_workdir else set()
            case Shell():
                with_shell.add(index)
            case Cmd(command=ShellForm()) | Entrypoint(command=ShellForm()) if index not in with_shell:
                message = (
                    f"JSON arguments recommended for {item.written_name} "
                    "to prevent unintended behavior related to OS signals"
                )
                yield found("JSONArgsRecommended", message, item)
            case Workdir(path=path) if index not in with_workdir:
                with_workdir.add(index)
                if not path.lstrip("\"'").startswith(("/", "$")):
                    message = f'Relative workdir "{path}" can have unexpected results if the base image changes'
                    yield found("WorkdirRelativePath", message, item)
            case _:
                pass
