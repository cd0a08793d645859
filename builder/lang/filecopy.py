"""COPY and ADD: flags, sources, here-documents as sources. See `lang.instructions` for the rules of this floor."""

from __future__ import annotations

from builder.declare import dataclass
from builder.errors import BuildfileError
from builder.lang.flags import Takes, read_flags
from builder.lang.heredoc import is_mark, parse_mark
from builder.lang.letters import clipped
from builder.lang.request import Request
from builder.values.instruction import Add, Copy, Heredoc

_SHARED_FLAGS = {"chown": Takes.TEXT, "chmod": Takes.TEXT, "link": Takes.TRUTH, "exclude": Takes.TEXTS}
COPY_FLAGS = {**_SHARED_FLAGS, "from": Takes.TEXT, "parents": Takes.TRUTH}
ADD_FLAGS = {**_SHARED_FLAGS, "checksum": Takes.TEXT, "keep-git-dir": Takes.TRUTH, "unpack": Takes.TRUTH}


@dataclass(frozen=True, slots=True)
class _Operands:
    sources: tuple[str, ...]
    inline: tuple[Heredoc, ...]
    destination: str


def copy(request: Request) -> Copy:
    """COPY [flags] SOURCE… DESTINATION."""
    operands = _operands(request)
    flags = read_flags(request.name, request.statement.flags, COPY_FLAGS)
    from_ = flags.text("from")
    if from_ is not None and "$" in from_[:-1]:
        raise BuildfileError(
            f"variable expansion is not supported for --from: {clipped(from_)}",
            hint="make a stage with FROM and an ARG before the first FROM, and copy from that stage",
        )
    return Copy(
        request.span,
        request.original,
        operands.sources,
        operands.destination,
        operands.inline,
        from_=from_,
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=flags.truth("link") or False,
        parents=flags.truth("parents") or False,
        excludes=flags.texts("exclude"),
    )


def add(request: Request) -> Add:
    """ADD [flags] SOURCE… DESTINATION."""
    operands = _operands(request)
    flags = read_flags(request.name, request.statement.flags, ADD_FLAGS)
    return Add(
        request.span,
        request.original,
        operands.sources,
        operands.destination,
        operands.inline,
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=flags.truth("link") or False,
        excludes=flags.texts("exclude"),
        checksum=flags.text("checksum"),
        keep_git_dir=flags.truth("keep-git-dir") or False,
        unpack=flags.truth("unpack"),
    )


def _operands(request: Request) -> _Operands:
    if len(request.args) < 2:
        raise BuildfileError(
            f"{request.name} requires at least two arguments, a source and a destination; there is "
            + (f"only {clipped(request.args[0])}" if request.args else "none"),
            hint=f"write {request.name} SOURCE… DESTINATION",
        )
    *sources, destination = request.args
    if request.statement.is_json:
        return _Operands(tuple(sources), (), destination)
    if is_mark(destination):
        raise BuildfileError(
            f"{request.name} cannot accept a heredoc as a destination: {clipped(destination)}",
            hint="the destination comes last, behind the heredocs",
        )
    bodies = {heredoc.name: heredoc for heredoc in request.heredocs()}
    inline = tuple(_body(source, bodies, request) for source in sources if is_mark(source))
    return _Operands(tuple(source for source in sources if not is_mark(source)), inline, destination)


def _body(word: str, bodies: dict[str, Heredoc], request: Request) -> Heredoc:
    mark = parse_mark(word)
    if mark is None or mark.name not in bodies:
        raise BuildfileError(
            f"{request.name}: the heredoc {clipped(word)} has no body", hint="is a quote of the line left open?"
        )
    return bodies[mark.name]
