"""One function an instruction: from a cut line to its value, with everything that can be said against it by itself.

What depends on other lines (stages, the order of things) is in `lang.grammar`. No variable is expanded here. Source:
the Dockerfile reference; BuildKit's frontend for what is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from builder.errors import BuildfileError
from builder.lang.filecopy import add, copy
from builder.lang.flags import Flags, Takes, read_flags
from builder.lang.letters import SPACES, clipped
from builder.lang.mount import check_mount
from builder.lang.quantities import count, duration_ns
from builder.lang.request import Request
from builder.lang.statement import INSTRUCTIONS
from builder.lang.suggest import did_you_mean
from builder.pattern import pattern
from builder.values.image import Healthcheck
from builder.values.instruction import (
    Arg,
    Cmd,
    Entrypoint,
    Env,
    Expose,
    From,
    HealthcheckInstruction,
    Instruction,
    Label,
    Maintainer,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)

_STAGE_NAME = pattern(r"[a-z][a-z0-9_.-]*+")
_SHORTEST_NS = 1_000_000
_TIMES = ("interval", "timeout", "start-period", "start-interval")


def read_instruction(request: Request) -> Instruction | From:
    """The value of a cut line; ONBUILD is the grammar's. Raises BuildfileError without a span."""
    reader = _READERS.get(request.name)
    if reader is None:
        name = request.statement.name
        hint = did_you_mean(name, INSTRUCTIONS, "a line that goes on needs a \\ at its end; instructions are " + _LIST)
        raise BuildfileError(f"unknown instruction: {clipped(name)[1:-1]}", hint=hint)
    return reader(request)


def _flags(request: Request, known: Mapping[str, Takes] | None = None) -> Flags:
    return read_flags(request.name, request.statement.flags, known or {})


def _from(request: Request) -> From:
    args = request.args
    alias = None
    if len(args) == 3 and args[1].lower() == "as":
        alias = args[2].lower()
        if not _STAGE_NAME.fullmatch(alias):
            raise BuildfileError(
                f"invalid name for build stage: {clipped(args[2])}",
                hint="a stage's name begins with a letter; letters, digits, - _ and . follow",
            )
    elif len(args) != 1:
        said = f": {request.words_at_fault()}" if args else ""
        raise BuildfileError(
            f"FROM requires either one or three arguments{said}", hint="write FROM IMAGE, or FROM IMAGE AS NAME"
        )
    platform = _flags(request, {"platform": Takes.TEXT}).text("platform")
    return From(request.span, request.original, args[0], platform, alias)


def _run(request: Request) -> Run:
    flags = _flags(
        request,
        {"mount": Takes.TEXTS, "network": Takes.TEXT, "security": Takes.TEXT, "device": Takes.TEXTS},
    )
    for mount in flags.texts("mount"):
        check_mount(mount)
    return Run(
        request.span,
        request.original,
        request.command(),
        mounts=flags.texts("mount"),
        network=_one_of(flags, "network", "network mode", ("default", "none", "host")),
        security=_one_of(flags, "security", "security mode", ("sandbox", "insecure", "nested")),
        devices=flags.texts("device"),
    )


def _one_of(flags: Flags, name: str, title: str, allowed: tuple[str, ...]) -> str | None:
    if not flags.has(name):
        return None
    value = flags.text(name) or ""
    if value not in allowed:
        raise BuildfileError(f"invalid {title} {clipped(value)}", hint=f"--{name} is one of {', '.join(allowed)}")
    return value


def _env(request: Request) -> Env:
    _flags(request)
    pairs, legacy = _pairs(request)
    return Env(request.span, request.original, pairs, legacy)


def _label(request: Request) -> Label:
    _flags(request)
    pairs, legacy = _pairs(request)
    return Label(request.span, request.original, pairs, legacy)


def _pairs(request: Request) -> tuple[tuple[tuple[str, str], ...], bool]:
    args = request.some_arguments()
    pairs = tuple(zip(args[0::3], args[1::3], strict=True))
    if not all(name for name, _ in pairs):
        raise _blank_name(request)
    return pairs, args[2] == ""


def _blank_name(request: Request) -> BuildfileError:
    return BuildfileError(f"{request.name} names can not be blank", hint=f"write {request.name} NAME=VALUE")


def _arg(request: Request) -> Arg:
    _flags(request)
    pairs: list[tuple[str, str | None]] = []
    for word in request.some_arguments():
        name, separator, value = word.partition("=")
        if not name:
            raise _blank_name(request)
        pairs.append((name, value if separator else None))
    return Arg(request.span, request.original, tuple(pairs))


def _workdir(request: Request) -> Workdir:
    _flags(request)
    return Workdir(request.span, request.original, request.only_argument())


def _user(request: Request) -> User:
    _flags(request)
    return User(request.span, request.original, request.only_argument())


def _expose(request: Request) -> Expose:
    _flags(request)
    return Expose(request.span, request.original, request.some_arguments())


def _volume(request: Request) -> Volume:
    _flags(request)
    paths = tuple(path.strip(SPACES) for path in request.some_arguments())
    if not all(paths):
        raise BuildfileError("VOLUME specified can not be an empty string", hint="name a path in the image")
    return Volume(request.span, request.original, paths)


def _cmd(request: Request) -> Cmd:
    _flags(request)
    return Cmd(request.span, request.original, request.command())


def _entrypoint(request: Request) -> Entrypoint:
    _flags(request)
    return Entrypoint(request.span, request.original, request.command())


def _shell(request: Request) -> Shell:
    _flags(request)
    args = request.some_arguments()
    if not request.statement.is_json:
        raise BuildfileError(
            f"SHELL requires the arguments to be in JSON form: {request.words_at_fault()}",
            hint='write SHELL ["/bin/sh", "-c"], with double quotes',
        )
    return Shell(request.span, request.original, args)


def _stop_signal(request: Request) -> StopSignal:
    _flags(request)
    return StopSignal(request.span, request.original, request.only_argument())


def _maintainer(request: Request) -> Maintainer:
    _flags(request)
    return Maintainer(request.span, request.original, request.only_argument())


def _healthcheck(request: Request) -> HealthcheckInstruction:
    kind, *command = request.some_arguments()
    flags = _flags(request, dict.fromkeys((*_TIMES, "retries"), Takes.TEXT))
    if kind.upper() == "NONE":
        if command:
            raise BuildfileError("HEALTHCHECK NONE takes no arguments")
        return HealthcheckInstruction(request.span, request.original, Healthcheck(("NONE",)))
    if kind.upper() != "CMD":
        raise BuildfileError(
            f"unknown type {clipped(kind)} in HEALTHCHECK", hint="write HEALTHCHECK CMD COMMAND, or HEALTHCHECK NONE"
        )
    if not command:
        raise BuildfileError("missing command after HEALTHCHECK CMD")
    form = "CMD" if request.statement.is_json else "CMD-SHELL"
    check = Healthcheck(
        (form, *command),
        interval_ns=_interval(flags, "interval"),
        timeout_ns=_interval(flags, "timeout"),
        start_period_ns=_interval(flags, "start-period"),
        start_interval_ns=_interval(flags, "start-interval"),
        retries=_retries(flags),
    )
    return HealthcheckInstruction(request.span, request.original, check)


def _interval(flags: Flags, name: str) -> int:
    text = flags.text(name)
    if text is None:
        return 0
    try:
        duration = duration_ns(text)
    except ValueError as error:
        raise BuildfileError(f"--{name}: {error}", hint="a duration is like 30s, 1m30s or 500ms") from None
    if duration and duration < _SHORTEST_NS:
        raise BuildfileError(f"interval --{name}={text[:60]} cannot be less than 1ms")
    return duration


def _retries(flags: Flags) -> int:
    try:
        retries = count(flags.text("retries") or "0")
    except ValueError as error:
        raise BuildfileError(f"--retries: {error}", hint="--retries takes a whole number") from None
    if retries < 0:
        raise BuildfileError(f"--retries cannot be negative ({retries})")
    return retries


_READERS: Mapping[str, Callable[[Request], Instruction | From]] = {
    "ADD": add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}

_LIST = ", ".join(sorted(INSTRUCTIONS))
