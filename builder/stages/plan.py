"""Plan: from instructions to steps and config. Nothing is looked at but text and the bases' configs.

A target's plan is a fold: each instruction turns a draft into the next one. COPY, ADD and RUN, which make steps, are
in `plan_steps`; here are the instructions that only change what the image says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from posixpath import join, normpath
from typing import assert_never

from builder.declare import dataclass, replace
from builder.errors import BuildfileError
from builder.lang.grammar import parse_trigger
from builder.pattern import pattern
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
from builder.values.step import Action, Base, ImageBase, Planned, Recorded, Step, TargetPlan, WorkdirStep

DEFAULT_SHELL = ("/bin/sh", "-c")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH of every image whose base has none."""

MAX_SAID = 4 << 20
"""More characters than this in the history of one stage are no person's: values of values that double each time."""

_SIGNAL = pattern(
    r"[+-]?0*[1-9][0-9]{0,8}|(?:SIG)?(?:ABRT|ALRM|BUS|CHLD|CLD|CONT|FPE|HUP|ILL|INT|IOT?|KILL|PIPE|POLL|PROF|PWR|QUIT|SEGV"
    r"|STKFLT|STOP|SYS|TERM|TRAP|TSTP|TTIN|TTOU|URG|USR[12]|VTALRM|WINCH|XCPU|XFSZ"
    r"|RTMIN(?:\+(?:[1-9]|1[0-5]))?|RTMAX(?:-(?:[1-9]|1[0-4]))?)",
    re.IGNORECASE,
)


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
    said: int = 0  # characters of all lines of the history; every value that grows is in one of them

    def with_config(self, config: RunConfig, created_by: str) -> _Draft:
        return self._with(Recorded(created_by), config)

    def with_step(self, step: Step, created_by: str) -> _Draft:
        return self._with(Planned(step, created_by), self.config)

    def _with(self, action: Action, config: RunConfig) -> _Draft:
        said = self.said + len(action.created_by)
        return replace(self, config=config, actions=(*self.actions, action), said=said)


def plan_target(block: Block, start: Start, scope: Scope, around: Surroundings) -> TargetPlan:
    """The plan of one target. `scope` is the global one. Raises BuildfileError with the place."""
    config = replace(start.config.config, on_build=())
    if config.env_value("PATH") is None:
        config = config.with_env("PATH", DEFAULT_PATH)
    scope = replace(scope, env=config.env, args=start.args, late=frozenset(), globals=scope.names)
    draft = _Draft(config, scope, start.config.author)
    triggers = _triggers(start)
    strange = replace(around, from_elsewhere=around.from_elsewhere or isinstance(start.base, ImageBase))
    for number, instruction in enumerate((*triggers, *block.instructions)):
        draft = _apply(draft, instruction, strange if number < len(triggers) else around)
        if draft.said > MAX_SAID:
            raise BuildfileError(
                f"the variables of this stage expand to more than {MAX_SAID} characters in all", span=instruction.span
            )
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


def _triggers(start: Start) -> tuple[Instruction, ...]:
    source_name = f"ONBUILD of {start.base_name}"
    # A trigger is a text of its own: the escape directive of the Buildfile that is built now says nothing about it.
    return tuple(parse_trigger(text, SourceText(source_name, text), "\\") for text in start.config.config.on_build)


def _apply(draft: _Draft, instruction: Instruction, around: Surroundings) -> _Draft:
    match instruction:
        case Run():
            shell = draft.config.shell or DEFAULT_SHELL
            step, created_by = plan_run(instruction, draft.scope, (draft.config, shell), around)
            return draft.with_step(step, created_by)
        case Copy() | Add():
            step_copy, created_by = plan_copy(instruction, draft.scope, draft.config.working_dir, around)
            return draft.with_step(step_copy, created_by)
        case Workdir():
            return _workdir(draft, instruction, around)
        case Arg():
            return _arg(draft, instruction)
        case Env() | Label():
            return _pairs(draft, instruction)
        case Cmd() | Entrypoint():
            return _command(draft, instruction)
        case Onbuild():
            triggers = (*draft.config.on_build, instruction.trigger)
            return replace(draft, config=replace(draft.config, on_build=triggers))  # BuildKit records no line for it
        case Maintainer():
            named = replace(draft, author=instruction.author)
            return named.with_config(draft.config, instruction.original)
        case User() | Expose() | Volume() | Shell() | StopSignal() | HealthcheckInstruction():
            return draft.with_config(*_said(draft, instruction))
        case _:
            assert_never(instruction)


def _said(
    draft: _Draft, instruction: User | Expose | Volume | Shell | StopSignal | HealthcheckInstruction
) -> tuple[RunConfig, str]:
    """The config after an instruction that only says something, and its line with the words as understood."""
    config, span = draft.config, instruction.span
    match instruction:
        case User():
            user = draft.scope.word(instruction.user, span)
            return replace(config, user=user), f"USER {user}"
        case Expose():
            words = [word for text in instruction.ports for word in draft.scope.words(text, span)]
            ports = [port for word in words for port in parse_ports(word, span)]
            return replace(config, exposed_ports=_united(config.exposed_ports, ports)), _listed("EXPOSE", ports)
        case Volume():
            paths = [draft.scope.word(text, span) for text in instruction.paths]
            if not all(paths):
                raise BuildfileError("VOLUME: a volume's path cannot be empty", span=span)
            return replace(config, volumes=_united(config.volumes, paths)), _listed("VOLUME", paths)
        case Shell():
            return replace(config, shell=instruction.argv), _listed("SHELL", instruction.argv)
        case StopSignal():
            signal = _signal(draft.scope.word(instruction.signal, span), span)
            return replace(config, stop_signal=signal), f"STOPSIGNAL {signal}"
        case HealthcheckInstruction():
            return replace(config, healthcheck=instruction.check), instruction.original
        case _:
            assert_never(instruction)


def _listed(word: str, values: Iterable[str]) -> str:
    return f"{word} [{' '.join(values)}]"


def _signal(text: str, span: Span) -> str:
    if not _SIGNAL.fullmatch(text):
        raise BuildfileError(
            f"STOPSIGNAL: invalid signal {text[:100]!r}", span=span, hint="write a name or a number: SIGTERM, QUIT, 15"
        )
    return text


def _arg(draft: _Draft, instruction: Arg) -> _Draft:
    scope = declare(draft.scope, instruction)
    values = dict(scope.args)
    shown = [name if values[name] is None else f"{name}={values[name]}" for name, _ in instruction.pairs]
    return replace(draft, scope=scope).with_config(draft.config, f"ARG {' '.join(shown)}")


def _pairs(draft: _Draft, instruction: Env | Label) -> _Draft:
    config = draft.config
    shown: dict[str, str] = {}
    for key_text, value_text in instruction.pairs:
        key = draft.scope.word(key_text, instruction.span)
        value = draft.scope.word(value_text, instruction.span)
        if not key:
            raise BuildfileError("names can not be blank", span=instruction.span)
        config = config.with_env(key, value) if isinstance(instruction, Env) else config.with_label(key, value)
        shown[key] = value
    word = "ENV" if isinstance(instruction, Env) else "LABEL"
    if isinstance(instruction, Env):
        draft = replace(draft, scope=draft.scope.with_env(config.env, frozenset(shown)))
    return draft.with_config(config, f"{word} {' '.join(f'{key}={value}' for key, value in shown.items())}")


def _command(draft: _Draft, instruction: Cmd | Entrypoint) -> _Draft:
    words = _words_of(instruction.command, draft.config.shell or DEFAULT_SHELL) or None
    shown = [json.dumps(word, ensure_ascii=False) for word in words or ()]
    if isinstance(instruction, Cmd):
        config = replace(draft.config, cmd=words)
        return replace(draft.with_config(config, _listed("CMD", shown)), cmd_was_set=True)
    # An ENTRYPOINT drops the CMD that came from the base: those were arguments for another program.
    cmd = draft.config.cmd if draft.cmd_was_set else None
    return draft.with_config(replace(draft.config, entrypoint=words, cmd=cmd), _listed("ENTRYPOINT", shown))


def _words_of(command: Command, shell: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(command, ExecForm):
        return command.argv
    return (*shell, command.text)


def _workdir(draft: _Draft, instruction: Workdir, around: Surroundings) -> _Draft:
    path = absolute(draft.config.working_dir, draft.scope.word(instruction.path, instruction.span))
    step = WorkdirStep(instruction.span, instruction.original, path, draft.config.user, around.source_date_epoch)
    moved = replace(draft, config=replace(draft.config, working_dir=path))
    return moved.with_step(step, f"WORKDIR {path}")


def absolute(working_dir: str, path: str) -> str:
    """`path` as seen from the working directory, cleaned; an empty one (an unset variable) is that directory."""
    cleaned = normpath(join("/", working_dir or "/", path))
    return "/" + cleaned.lstrip("/")


def _united(old: tuple[str, ...], new: list[str]) -> tuple[str, ...]:
    return tuple(sorted({*old, *new}))
