"""Plan of the instructions that make steps: RUN, COPY and ADD with their flags, sources and mounts.

Pure: names of stages and images are told apart by the Buildfile alone.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from posixpath import join, normpath

from builder.declare import dataclass, replace
from builder.errors import BuildfileError
from builder.lang.heredoc import is_mark
from builder.lang.mount import parse_mount
from builder.pattern import pattern
from builder.source import Span
from builder.stages.scope import Scope
from builder.values.image import RunConfig
from builder.values.instruction import Add, Copy, ExecForm, Heredoc, Run, ShellForm
from builder.values.mount import BindRequest, CacheRequest, TmpfsRequest
from builder.values.reference import Reference
from builder.values.repository import Repository, parse_repository
from builder.values.security import Security
from builder.values.step import ContextOrigin, CopyStep, ImageOrigin, Inline, MountPlan, Origin, RunStep, TargetOrigin

_NUMBER = pattern(r"[+-]?[0-9]+\Z")
HOSTNAME_ARG = "BUILDKIT_SANDBOX_HOSTNAME"
CACHES_ARG = "BUILDKIT_CACHE_MOUNT_NS"
_NO_STAGE = 1 << 60
_ON_DISK = ("oci:", "oci-archive:", "docker-archive:", "oci-layout:", "rootfs:", "/", "./", "../")
_URL = pattern(r"https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a target knows of its build: its own number, the names of all targets, and the command line's settings.

    `numbered` are the numbers of the targets that have a name, ascending. `contexts` are the names of the named
    contexts by what `context_key` makes of them; one takes the place of a target of its name. What is read
    `from_elsewhere`, a fetched Buildfile or an image's triggers, may not choose what is read from this machine's disk.
    """

    index: int
    names: tuple[str | None, ...]
    numbered: Mapping[str, tuple[int, ...]]
    contexts: Mapping[str, str]
    network: str
    hidden_env: tuple[tuple[str, str], ...]
    allow: tuple[str, ...] = ()
    source_date_epoch: int | None = None
    from_elsewhere: bool = False
    security: Security = Security.SANDBOX

    def context(self, name: str) -> str | None:
        """The named context that a name of the Buildfile means, as the command line has it. Two never do."""
        return None if name.lower() in ("scratch", "context") else self.contexts.get(context_key(name))

    def earlier(self, name: str) -> int | None:
        """The target before this one that has this name, the last one if there are several."""
        if self.context(name) is not None:
            return None
        numbers = self.numbered.get(name.lower(), ())
        before = bisect_left(numbers, self.index)
        return numbers[before - 1] if before else None

    def origin(self, name: str | None, span: Span) -> Origin:
        """Where `--from=name` leads: a named context, an earlier target by name or number, or an image of that name.

        Raises BuildfileError at `span` for this target or a later one: no image is looked for under a stage's name.
        """
        if name is None:
            return ContextOrigin()
        number = stage_number(name)
        if number is not None:
            return self._numbered(number, name, span)
        index = self.earlier(name)
        if index is not None:
            return TargetOrigin(index)
        if name.lower() in self.numbered and self.context(name) is None:
            raise BuildfileError(
                f"cannot copy from stage {name[:100]!r}: it needs to be defined before the stage that uses it",
                span=span,
                hint="move its FROM further up",
            )
        return ImageOrigin(self.image_name(name, span))

    def image_name(self, name: str, span: Span) -> str:
        """What is looked for under a name that is no target's. Raises BuildfileError for a stranger's path on disk."""
        named = self.context(name)
        if named is None and self.from_elsewhere and name.removeprefix("docker-image://").startswith(_ON_DISK):
            raise BuildfileError(
                f"{name[:100]!r} is on this machine's disk, and the text that asks for it came from elsewhere",
                span=span,
                hint="if it may be read, say so: give it a plain name with --build-context NAME=PATH",
            )
        return named or name

    def _numbered(self, number: int, name: str, span: Span) -> Origin:
        if not 0 <= number < self.index:
            raise BuildfileError(
                f"invalid stage index {name[:20]} in --from: only the stages before this one can be used",
                span=span,
                hint=f"stages count from 0; this is stage {self.index}",
            )
        context = self.context(self.names[number] or "")
        return TargetOrigin(number) if context is None else ImageOrigin(context)


def context_key(name: str) -> str:
    """What the spellings of an image's name have in common: `a`, `A:latest` and `docker.io/library/a` are one context.

    As in BuildKit a name is read as an image's and written as people do, without `:latest`. What is no image's name is
    left as it is.
    """
    try:
        familiar = Reference.parse(name.lower()).familiar
    except ValueError:
        return name.lower()
    return familiar.removesuffix(":latest")


def stage_number(text: str) -> int | None:
    """The number that a stage is called by, or None for a name. One with too many digits is no stage's."""
    if not _NUMBER.match(text):
        return None
    digits = text.lstrip("+-0") or "0"
    number = int(digits) if len(digits) < 10 else _NO_STAGE
    return -number if text.startswith("-") else number


def plan_run(
    run: Run, scope: Scope, shape: tuple[RunConfig, tuple[str, ...]], around: Surroundings
) -> tuple[RunStep, str]:
    """The step of a RUN and its line in the history. `shape` is the config so far and the shell in force."""
    config, shell = shape
    argv, scripts = _command(run, shell)
    if run.devices:
        raise BuildfileError("RUN --device is not supported", span=run.span, hint="devices cannot be given to a step")
    step = RunStep(
        span=run.span,
        title=run.original,
        argv=argv,
        env=scope.command_env,
        hidden_env=_hidden_env(scope, around),
        cwd=config.working_dir or "/",
        user=config.user,
        network=_network(run, around),
        security=_security(run, around),
        mounts=tuple(_mount(text, scope, (config.working_dir, run.span), around) for text in run.mounts),
        scripts=scripts,
        source_date_epoch=around.source_date_epoch,
        hostname=scope.given.get(HOSTNAME_ARG, ""),
    )
    return step, "RUN " + _args_prefix(scope) + " ".join(argv)


def _args_prefix(scope: Scope) -> str:
    args = [f"{name}={value}" for name, value in scope.recorded_args]
    return f"|{len(args)} {' '.join(args)} " if args else ""


def _hidden_env(scope: Scope, around: Surroundings) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in around.hidden_env if name not in scope.names)


def _network(run: Run, around: Surroundings) -> str:
    """The step's network; `default` is the build's. Out of that to the host's leads only the word of who builds."""
    network = run.network if run.network not in (None, "default") else around.network
    assert network is not None
    if network == "host" and around.network != "host" and "network.host" not in around.allow:
        raise BuildfileError(
            "RUN --network=host is not allowed here",
            span=run.span,
            hint="give --allow network.host if you trust this Buildfile with this machine's own network",
        )
    return network


def _security(run: Run, around: Surroundings) -> Security:
    """The step's kind of sandbox: the build's where it asks for none. What is laxer than that has to be allowed."""
    if run.security is None:
        return around.security
    wanted = Security(run.security)
    right = f"security.{wanted}"
    if wanted not in (Security.SANDBOX, around.security) and right not in around.allow:
        raise BuildfileError(
            f"RUN --security={wanted} is not allowed here",
            span=run.span,
            hint=f"give --allow {right} if you trust this Buildfile",
        )
    return wanted


def _command(run: Run, shell: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Inline, ...]]:
    """The words to execute, and scripts to show beside them (a heredoc that starts with `#!`)."""
    command = run.command
    if isinstance(command, ExecForm):
        if not command.argv:
            raise BuildfileError("RUN needs a command, and this list is empty", span=run.span)
        return command.argv, ()
    if len(command.heredocs) == 1 and is_mark(command.text):
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


def _mount(text: str, scope: Scope, place: tuple[str, Span], around: Surroundings) -> MountPlan:
    """A mount with each value expanded by itself: what a variable holds cannot add a key. `place`: where RUN is."""
    working_dir, span = place
    try:
        request = parse_mount(text, lambda value: scope.word(value, span))
    except BuildfileError as error:
        raise error.at(span) from None
    target = request.target if isinstance(request, BindRequest | CacheRequest | TmpfsRequest) else None
    if target is not None and not normpath(join("/", working_dir, target)).strip("/"):
        raise BuildfileError(f"RUN --mount: {target[:100]!r} cannot be a mount's target", span=span)
    named = request.from_ if isinstance(request, BindRequest | CacheRequest) else None
    if isinstance(request, CacheRequest) and named == "scratch":
        named = None  # an empty cache is what it is without `from`
    namespace = scope.given.get(CACHES_ARG)
    if isinstance(request, CacheRequest) and namespace:
        request = replace(request, id=f"{namespace}/{request.id}")
    return MountPlan(request, around.origin(named, span))


def plan_copy(copy: Copy | Add, scope: Scope, working_dir: str, around: Surroundings) -> tuple[CopyStep, str]:
    """The step of a COPY or ADD, its words expanded and its sources sorted into files, URLs and heredocs.

    Beside it its line in the history, which is made of the expanded words too.
    """
    span = copy.span
    sources = tuple(scope.word(source, span) for source in copy.sources)
    destination = scope.word(copy.destination, span)
    checksum = _expanded(copy.checksum, scope, span) if isinstance(copy, Add) else None
    found = {source: _repository(source, checksum, copy) for source in sources}
    repositories = tuple(repository for repository in found.values() if repository is not None)
    downloads = tuple(source for source in sources if _URL.match(source) and found[source] is None)
    files = tuple(source for source in sources if source not in downloads and found[source] is None)
    if downloads and isinstance(copy, Copy):
        what = f"COPY: the source {downloads[0][:200]!r} is a URL"
        raise BuildfileError(what, span=span, hint="ADD fetches what a URL names")
    if checksum is not None and (files or copy.inline or len(downloads) + len(repositories) != 1):
        raise BuildfileError("ADD --checksum needs a single source that is a URL", span=span)
    step = CopyStep(
        span=span,
        title=copy.original,
        origin=around.origin(copy.from_, span) if isinstance(copy, Copy) else ContextOrigin(),
        sources=files,
        inline=tuple(_inline(heredoc, scope, span) for heredoc in copy.inline),
        destination=_destination(working_dir, destination),
        chown=_expanded(copy.chown, scope, span),
        chmod=_expanded(copy.chmod, scope, span),
        link=copy.link,
        parents=isinstance(copy, Copy) and copy.parents,
        excludes=copy.excludes,  # BuildKit expands no variable here
        unpack=isinstance(copy, Add) and copy.unpack is not False,
        unpack_downloads=isinstance(copy, Add) and copy.unpack is True,
        downloads=downloads,
        checksum=checksum,
        repositories=repositories,
        source_date_epoch=around.source_date_epoch,
    )
    return step, _history_of(copy, step, (*sources, destination))


def _expanded(word: str | None, scope: Scope, span: Span) -> str | None:
    """A flag's value; one that expands to nothing is as good as absent."""
    return (scope.word(word, span) or None) if word is not None else None


def _history_of(copy: Copy | Add, step: CopyStep, words: tuple[str, ...]) -> str:
    *sources, destination = words
    line = ["ADD" if isinstance(copy, Add) else "COPY"]
    line += ["--parents"] if step.parents else []
    line += [f"--{name}={value}" for name, value in (("chown", step.chown), ("chmod", step.chmod)) if value]
    return " ".join([*line, *sources, *(f"<<{inline.name}" for inline in step.inline), destination])


def _repository(source: str, checksum: str | None, copy: Copy | Add) -> Repository | None:
    """The git repository that a source is, or None. Raises BuildfileError for a malformed one, and in a COPY."""
    try:
        found = parse_repository(source)
        if found is None:
            return None
        if isinstance(copy, Copy):
            hint = "ADD fetches what a git URL names"
            raise BuildfileError(
                f"COPY: the source {found.shown[:200]!r} is a git repository", span=copy.span, hint=hint
            )
        found = found.with_checksum(checksum)
    except ValueError as error:
        raise BuildfileError(
            f"ADD: {error}", span=copy.span, hint="a git source is written URL#REF:DIRECTORY"
        ) from None
    if copy.keep_git_dir and found.keep_git_dir is False:
        raise BuildfileError("ADD: --keep-git-dir says one thing and the git URL the other", span=copy.span)
    return replace(found, keep_git_dir=bool(copy.keep_git_dir or found.keep_git_dir))


def _inline(heredoc: Heredoc, scope: Scope, span: Span) -> Inline:
    body = scope.body(heredoc.body, span) if heredoc.expand else heredoc.body
    return Inline(heredoc.name, body.encode("utf-8", "surrogateescape"))


def _destination(working_dir: str, text: str) -> str:
    """The absolute destination; a trailing slash (or `.` as the last part) says that it is a directory.

    An empty one (an unset variable) is the working directory.
    """
    directory = text.rpartition("/")[2] in ("", ".", "..")
    path = text if text.startswith("/") else f"{working_dir or '/'}/{text}"
    cleaned = "/" + normpath("/" + path).lstrip("/")
    return cleaned + "/" if directory and cleaned != "/" else cleaned
