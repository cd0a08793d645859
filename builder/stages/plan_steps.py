"""Plan of the instructions that make steps: RUN, COPY and ADD with their flags, sources and mounts.

Pure: names of stages and images are told apart by the Buildfile alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from posixpath import normpath

from builder.errors import BuildfileError
from builder.lang.mount import parse_mount
from builder.source import Span
from builder.stages.scope import PROXY_NAMES, Scope
from builder.values.image import RunConfig
from builder.values.instruction import Add, Copy, ExecForm, Heredoc, Run, ShellForm
from builder.values.mount import BindRequest, CacheRequest
from builder.values.step import ContextOrigin, CopyStep, ImageOrigin, Inline, MountPlan, Origin, RunStep, TargetOrigin

_ONLY_HEREDOC = re.compile(r"\s*[0-9]*<<-?\s*(['\"]?)[^\s<>'\"]+\1\s*\Z")
_GIT_SOURCE = re.compile(r"(?:git://|git@|ssh://|https?://[^#]*\.git(?:[#?]|\Z))")
_URL = re.compile(r"https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a target knows of its build: the targets before it by name, and the command line's settings."""

    index: int
    stages: Mapping[str, int]
    network: str
    hidden_env: tuple[tuple[str, str], ...]
    escape: str
    allow: tuple[str, ...] = ()

    def origin(self, name: str | None, span: Span) -> Origin:
        """Where `--from=name` leads: an earlier target by name or number, or an image of that name."""
        if name is None:
            return ContextOrigin()
        if name.isdecimal():
            if int(name[:9]) >= self.index:
                raise BuildfileError(
                    f"invalid stage index {name[:20]} in --from: only the stages before this one can be used",
                    span=span,
                    hint=f"stages count from 0; this is stage {self.index}",
                )
            return TargetOrigin(int(name))
        index = self.stages.get(name.lower())
        return ImageOrigin(name) if index is None else TargetOrigin(index)


def plan_run(
    run: Run, scope: Scope, shape: tuple[RunConfig, tuple[str, ...]], around: Surroundings
) -> tuple[RunStep, str]:
    """The step of a RUN and its line in the history. `shape` is the config so far and the shell in force."""
    config, shell = shape
    argv, scripts = _command(run, shell)
    network = run.network or around.network
    if run.devices:
        raise BuildfileError("RUN --device is not supported", span=run.span, hint="devices cannot be given to a step")
    step = RunStep(
        span=run.span,
        title=run.original,
        argv=argv,
        env=(*config.env, *scope.set_args),
        hidden_env=_hidden_env(scope, around),
        cwd=config.working_dir or "/",
        user=config.user,
        network=network,
        insecure=_insecure(run, around),
        mounts=tuple(_mount(text, scope, run.span, around) for text in run.mounts),
        scripts=scripts,
    )
    return step, "RUN " + _args_prefix(scope) + " ".join(argv)


def _args_prefix(scope: Scope) -> str:
    args = [f"{name}={value}" for name, value in scope.set_args if name not in PROXY_NAMES]
    return f"|{len(args)} {' '.join(args)} " if args else ""


def _hidden_env(scope: Scope, around: Surroundings) -> tuple[tuple[str, str], ...]:
    declared = {name for name, _ in scope.env} | {name for name, _ in scope.args}
    return tuple((name, value) for name, value in around.hidden_env if name not in declared)


def _insecure(run: Run, around: Surroundings) -> bool:
    if run.security in (None, "sandbox"):
        return False
    if run.security != "insecure":
        raise BuildfileError(f"RUN --security={run.security}: use sandbox or insecure", span=run.span)
    if "security.insecure" not in around.allow:
        raise BuildfileError(
            "RUN --security=insecure is not allowed here",
            span=run.span,
            hint="give --allow security.insecure if you trust this Buildfile",
        )
    return True


def _command(run: Run, shell: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Inline, ...]]:
    """The words to execute, and scripts to show beside them (a heredoc that starts with `#!`)."""
    command = run.command
    if isinstance(command, ExecForm):
        if not command.argv:
            raise BuildfileError("RUN needs a command, and this list is empty", span=run.span)
        return command.argv, ()
    if len(command.heredocs) == 1 and _ONLY_HEREDOC.match(command.text):
        return _script(command.heredocs[0], shell)
    return (*shell, _with_bodies(command)), ()


def _script(heredoc: Heredoc, shell: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Inline, ...]]:
    if not heredoc.body.startswith("#!"):
        return (*shell, heredoc.body), ()
    script = Inline(heredoc.name, heredoc.body.encode())
    return (f"/dev/pipes/{heredoc.name}",), (script,)


def _with_bodies(command: ShellForm) -> str:
    """The text with its heredocs' bodies after it, as the step's own shell reads them."""
    parts = [command.text]
    if command.heredocs:
        parts.append("\n")
        parts += [f"{heredoc.body}{heredoc.name}\n" for heredoc in command.heredocs]
    return "".join(parts)


def _mount(text: str, scope: Scope, span: Span, around: Surroundings) -> MountPlan:
    try:
        request = parse_mount(scope.word(text, span))
    except BuildfileError as error:
        raise error.at(span) from None
    named = request.from_ if isinstance(request, BindRequest | CacheRequest) else None
    return MountPlan(request, around.origin(named, span))


def plan_copy(copy: Copy | Add, scope: Scope, working_dir: str, around: Surroundings) -> CopyStep:
    """The step of a COPY or ADD, its words expanded and its sources sorted into files, URLs and heredocs."""
    span = copy.span
    sources = tuple(scope.word(source, span) for source in copy.sources)
    downloads = tuple(source for source in sources if isinstance(copy, Add) and _URL.match(source))
    _refuse_git(copy, sources)
    files = tuple(source for source in sources if source not in downloads)
    checksum = None
    if isinstance(copy, Add) and copy.checksum is not None:
        checksum = scope.word(copy.checksum, span)
        if files or copy.inline or len(downloads) != 1:
            raise BuildfileError("ADD --checksum needs a single source that is a URL", span=span)
    return CopyStep(
        span=span,
        title=copy.original,
        origin=around.origin(copy.from_, span) if isinstance(copy, Copy) else ContextOrigin(),
        sources=files,
        inline=tuple(_inline(heredoc, scope, span) for heredoc in copy.inline),
        destination=_destination(working_dir, scope.word(copy.destination, span), span),
        chown=None if copy.chown is None else scope.word(copy.chown, span),
        chmod=None if copy.chmod is None else scope.word(copy.chmod, span),
        link=copy.link,
        parents=isinstance(copy, Copy) and copy.parents,
        excludes=tuple(scope.word(pattern, span) for pattern in copy.excludes),
        unpack=isinstance(copy, Add) and copy.unpack is not False,
        unpack_downloads=isinstance(copy, Add) and copy.unpack is True,
        downloads=downloads,
        checksum=checksum,
    )


def _refuse_git(copy: Copy | Add, sources: tuple[str, ...]) -> None:
    for source in sources:
        if isinstance(copy, Add) and _GIT_SOURCE.match(source):
            raise BuildfileError(
                f"ADD of a git repository is not supported yet: {source[:200]!r}",
                span=copy.span,
                hint="clone it in a RUN step, or COPY it from --build-context NAME=DIR",
            )


def _inline(heredoc: Heredoc, scope: Scope, span: Span) -> Inline:
    body = scope.body(heredoc.body, span) if heredoc.expand else heredoc.body
    return Inline(heredoc.name, body.encode("utf-8", "surrogateescape"))


def _destination(working_dir: str, text: str, span: Span) -> str:
    """The absolute destination; a trailing slash (or `.` as the last part) says that it is a directory."""
    if not text:
        raise BuildfileError("the destination cannot be empty", span=span)
    directory = text.endswith("/") or text.rpartition("/")[2] in (".", "..")
    path = text if text.startswith("/") else f"{working_dir or '/'}/{text}"
    cleaned = "/" + normpath("/" + path).lstrip("/")
    return cleaned + "/" if directory and cleaned != "/" else cleaned
