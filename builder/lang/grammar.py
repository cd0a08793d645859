"""A Buildfile as a value: the instructions in their blocks, the ARGs before the first FROM, ONBUILD and its triggers.

Each instruction by itself is read in `lang.instructions`; here is what concerns their order. Errors carry the lines
of the instruction at fault. Source: the Dockerfile reference.
"""

from __future__ import annotations

from builder.declare import replace
from builder.errors import BuildfileError
from builder.lang.checks import check
from builder.lang.heredoc import is_mark
from builder.lang.instructions import read_instruction
from builder.lang.letters import SPACES, clipped
from builder.lang.lines import LogicalLine, read_lines, read_trigger_lines
from builder.lang.request import Request
from builder.lang.syntax import refuse_other_languages
from builder.source import SourceText, Span
from builder.values.instruction import Arg, Block, Buildfile, From, Instruction, Onbuild

_NO_TRIGGERS = ("FROM", "MAINTAINER", "ONBUILD")
_LONGEST_SUMMARY = 60


def parse(source: SourceText) -> Buildfile:
    """Read a whole Buildfile. Raises BuildfileError with the place, the words at fault and what would be right."""
    refuse_other_languages(source)
    lines = read_lines(source)
    if not lines.lines:
        raise BuildfileError(
            f"{source.name} is empty: there are no instructions in it",
            span=Span(source, 1, 1),
            hint="the first instruction is FROM IMAGE",
        )
    global_args: list[Arg] = []
    blocks: list[tuple[From, list[Instruction]]] = []
    for line in lines.lines:
        instruction = _instruction(line)
        if isinstance(instruction, From):
            blocks.append((instruction, []))
        elif blocks:
            blocks[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            global_args.append(instruction)
        else:
            raise _before_from(line)
    if not blocks:
        raise BuildfileError(
            f"{source.name} has no stages to build: there is no FROM", span=lines.lines[-1].span, hint="add FROM IMAGE"
        )
    finished = tuple(Block(from_, tuple(items), index) for index, (from_, items) in enumerate(blocks))
    buildfile = Buildfile(source, lines.directives, tuple(global_args), finished)
    try:
        warnings = check(buildfile, lines.lines)
    except BuildfileError as error:
        raise error.at(Span(source, lines.check_line, lines.check_line)) from None
    return replace(buildfile, warnings=warnings)


def parse_trigger(text: str, source: SourceText, escape: str) -> Instruction:
    """Read the text of an ONBUILD trigger that an image carries. Errors have spans in `source`.

    Raises BuildfileError where it is not one instruction, or one that must not be a trigger.
    """
    lines = read_trigger_lines(SourceText(source.name, text), escape)
    last = source.text.count("\n") + 1
    whole = Span(source, 1, last)
    if len(lines) != 1:
        raise BuildfileError(
            f"an ONBUILD trigger must be a single instruction, not {len(lines)}: {clipped(text)}", span=whole
        )
    line = replace(lines[0], span=Span(source, min(lines[0].span.first, last), min(lines[0].span.last, last)))
    _refuse_trigger(line.statement.name, line.span)
    instruction = _instruction(line)
    assert not isinstance(instruction, From)
    return instruction


def _instruction(line: LogicalLine) -> Instruction | From:
    """The value of a logical line; every error leaves with the line's place."""
    request = Request(line.statement, line.span, line.text + _summary(line), line.heredocs)
    try:
        return _onbuild(request) if request.name == "ONBUILD" else read_instruction(request)
    except BuildfileError as error:
        raise error.at(line.span) from None


def _onbuild(request: Request) -> Onbuild:
    nested = request.statement.nested
    if nested is None:
        raise BuildfileError(
            "ONBUILD requires at least one argument", hint="write ONBUILD and the instruction to record"
        )
    if request.statement.flags:
        raise BuildfileError(
            f"unknown flag: {clipped(request.statement.flags[0])[1:-1]}",
            hint="flags belong behind the instruction that ONBUILD records",
        )
    _refuse_trigger(nested.name, request.span)
    instruction = read_instruction(Request(nested, request.span, nested.text.strip(SPACES), request.bodies))
    assert not isinstance(instruction, From)
    trigger = nested.text.strip(SPACES)
    trigger += "".join(f"\n{body.text}{body.mark.name}" for body in request.bodies)
    return Onbuild(request.span, request.original, trigger, instruction)


def _refuse_trigger(name: str, span: Span) -> None:
    if name.upper() == "ONBUILD":
        raise BuildfileError(
            "chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", span=span, hint="write ONBUILD once"
        )
    if name.upper() in _NO_TRIGGERS:
        raise BuildfileError(f"{name.upper()} isn't allowed as an ONBUILD trigger", span=span)


def _summary(line: LogicalLine) -> str:
    """What a RUN that is nothing but a here-document runs, in short: its first line."""
    statement = line.statement
    if len(line.heredocs) != 1 or statement.name.upper() != "RUN" or not is_mark(" ".join(statement.args)):
        return ""
    first, *more = line.heredocs[0].text.strip(SPACES).split("\n")
    short = first.rstrip("\r")
    if len(short) > _LONGEST_SUMMARY:
        return f" ({short[:_LONGEST_SUMMARY]}...)"
    return f" ({short}{'...' if more else ''})"


def _before_from(line: LogicalLine) -> BuildfileError:
    return BuildfileError(
        f"no build stage in current context: {line.statement.name.upper()} comes before the first FROM",
        span=line.span,
        hint="only ARG may come before FROM",
    )
