"""Plan: from instructions to steps and config. Nothing is looked at but text and the bases' configs.

A target's plan is a fold: each instruction turns a draft into the next one. COPY, ADD and RUN, which make steps, are
in `plan_steps`; here are the instructions that only change what the image says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from posixpath import join, normpath
from typing import assert_never

from builder.errors import BuildfileError
from builder.lang.grammar import parse_trigger
from builder.source import SourceText, Span
from builder.stages.plan_steps import Surroundings, plan_copy, plan_run
from builder.stages.ports import parse_ports
from builder.stages.scope import Scope, declare
from builder.values.image import ImageConfig, RunConfig
from builder.values.instruction import (
    Add,
    Arg,
    Block,
    Cmd,
    Command,
    Copy,
    Entrypoint,
    Env,
    ExecForm,
    Expose,
    HealthcheckInstruction,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from builder.values.platform import Platform
from builder.values.step import Action, Base, Planned, Recorded, Step, TargetPlan, WorkdirStep

DEFAULT_SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True, slots=True)
class Start:
    """What a target starts from: its base, the base's config, and the ARGs of an earlier target it is based on."""

    base: Base
    config: ImageConfig
    args: tuple[tuple[str, str], ...]
    platform: Platform
    base_name: str


@dataclass(frozen=True, slots=True)
class _Draft:
    config: RunConfig
    scope: Scope
    author: str
    cmd_was_set: bool = False
    actions: tuple[Action, ...] = ()

    def with_config(self, config: RunConfig, created_by: str) -> _Draft:
        scope = replace(self.scope, env=config.env) if config.env != self.scope.env else self.scope
        return replace(self, config=config, scope=scope, actions=(*self.actions, Recorded(created_by)))

    def with_step(self, step: Step, created_by: str) -> _Draft:
        return replace(self, actions=(*self.actions, Planned(step, created_by)))


def plan_target(block: Block, start: Start, scope: Scope, around: Surroundings) -> TargetPlan:
    """The plan of one target. `scope` is the global one. Raises BuildfileError with the place."""
    config = replace(start.config.config, on_build=())
    scope = replace(scope, env=config.env, args=start.args, globals=scope.names)
    draft = _Draft(config, scope, start.config.author)
    for instruction in (*_triggers(start, around.escape), *block.instructions):
        draft = _apply(draft, instruction, around)
    return TargetPlan(
        index=block.index,
        name=block.from_.alias or str(block.index),
        span=block.from_.span,
        base=start.base,
        base_config=start.config,
        actions=draft.actions,
        config=draft.config,
        author=draft.author,
        platform=start.platform,
        args=tuple((name, value) for name, value in draft.scope.args if value is not None),
    )


def _triggers(start: Start, escape: str) -> tuple[Instruction, ...]:
    source_name = f"ONBUILD of {start.base_name}"
    return tuple(parse_trigger(text, SourceText(source_name, text), escape) for text in start.config.config.on_build)


def _apply(draft: _Draft, instruction: Instruction, around: Surroundings) -> _Draft:
    match instruction:
        case Run():
            shell = draft.config.shell or DEFAULT_SHELL
            step, created_by = plan_run(instruction, draft.scope, (draft.config, shell), around)
            return draft.with_step(step, created_by)
        case Copy() | Add():
            step_copy = plan_copy(instruction, draft.scope, draft.config.working_dir, around)
            return draft.with_step(step_copy, instruction.original)
        case Workdir():
            return _workdir(draft, instruction)
        case Arg():
            declared = replace(draft, scope=declare(draft.scope, instruction))
            return declared.with_config(draft.config, instruction.original)
        case Env() | Label():
            return _pairs(draft, instruction)
        case Cmd() | Entrypoint():
            return _command(draft, instruction)
        case Onbuild():
            triggers = (*draft.config.on_build, instruction.trigger)
            return draft.with_config(replace(draft.config, on_build=triggers), instruction.original)
        case Maintainer():
            named = replace(draft, author=instruction.author)
            return named.with_config(draft.config, instruction.original)
        case User() | Expose() | Volume() | Shell() | StopSignal() | HealthcheckInstruction():
            return draft.with_config(_said(draft, instruction), instruction.original)
        case _:
            assert_never(instruction)


def _said(
    draft: _Draft, instruction: User | Expose | Volume | Shell | StopSignal | HealthcheckInstruction
) -> RunConfig:
    config, span = draft.config, instruction.span
    match instruction:
        case User():
            return replace(config, user=draft.scope.word(instruction.user, span))
        case Expose():
            words = [word for text in instruction.ports for word in draft.scope.words(text, span)]
            ports = [port for word in words for port in parse_ports(word, span)]
            return replace(config, exposed_ports=_united(config.exposed_ports, ports))
        case Volume():
            paths = [draft.scope.word(text, span) for text in instruction.paths]
            if not all(paths):
                raise BuildfileError("VOLUME: a volume's path cannot be empty", span=span)
            return replace(config, volumes=_united(config.volumes, paths))
        case Shell():
            return replace(config, shell=instruction.argv)
        case StopSignal():
            return replace(config, stop_signal=draft.scope.word(instruction.signal, span))
        case HealthcheckInstruction():
            return replace(config, healthcheck=instruction.check)
        case _:
            assert_never(instruction)


def _pairs(draft: _Draft, instruction: Env | Label) -> _Draft:
    config = draft.config
    shown = []
    for key_text, value_text in instruction.pairs:
        key = draft.scope.word(key_text, instruction.span)
        value = draft.scope.word(value_text, instruction.span)
        if not key:
            raise BuildfileError("names can not be blank", span=instruction.span)
        config = config.with_env(key, value) if isinstance(instruction, Env) else config.with_label(key, value)
        shown.append(f"{key}={value}")
    word = "ENV" if isinstance(instruction, Env) else "LABEL"
    return draft.with_config(config, f"{word} {' '.join(shown)}")


def _command(draft: _Draft, instruction: Cmd | Entrypoint) -> _Draft:
    words = _words_of(instruction.command, draft.config.shell or DEFAULT_SHELL) or None
    if isinstance(instruction, Cmd):
        config = replace(draft.config, cmd=words)
        return replace(draft.with_config(config, instruction.original), cmd_was_set=True)
    # An ENTRYPOINT drops the CMD that came from the base: those were arguments for another program.
    cmd = draft.config.cmd if draft.cmd_was_set else None
    return draft.with_config(replace(draft.config, entrypoint=words, cmd=cmd), instruction.original)


def _words_of(command: Command, shell: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(command, ExecForm):
        return command.argv
    return (*shell, command.text)


def _workdir(draft: _Draft, instruction: Workdir) -> _Draft:
    path = absolute(draft.config.working_dir, draft.scope.word(instruction.path, instruction.span), instruction.span)
    step = WorkdirStep(instruction.span, instruction.original, path, draft.config.user)
    moved = replace(draft, config=replace(draft.config, working_dir=path))
    return moved.with_step(step, instruction.original)


def absolute(working_dir: str, path: str, span: Span) -> str:
    """`path` as seen from the working directory, cleaned. Raises BuildfileError for an empty one."""
    if not path:
        raise BuildfileError("WORKDIR needs a path, and this one is empty", span=span)
    cleaned = normpath(join("/", working_dir or "/", path))
    return "/" + cleaned.lstrip("/")


def _united(old: tuple[str, ...], new: list[str]) -> tuple[str, ...]:
    return tuple(sorted({*old, *new}))
