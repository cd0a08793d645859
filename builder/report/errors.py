"""One error as the text that a person reads: its place with the neighbours, the message, what the step said, a hint."""

from __future__ import annotations

from builder.errors import Interrupted, PybuildError, StepFailed
from builder.report.mask import Mask
from builder.report.text import printable
from builder.source import SourceText, Span

NEIGHBOURS = 2
"""Lines shown before and after the place."""
MOST_LINES = 12
"""A longer place (a heredoc) is shown by its beginning and its end."""
MOST_COLUMNS = 400
"""Longer lines of the Buildfile are cut: minified text would bury the message."""

_RED, _BOLD, _PLAIN = "\x1b[31m", "\x1b[1m", "\x1b[0m"


def masked(error: PybuildError, mask: Mask) -> PybuildError:
    """The same error with the values of secrets taken out of all that it says."""
    error.message = mask.text(error.message)
    error.args = (error.message,)
    error.hint = mask.text(error.hint) if error.hint else error.hint
    if error.span is not None:
        source = error.span.source
        text = "\n".join(mask.text(line) for line in source.text.split("\n"))
        error.span = Span(SourceText(source.name, text), error.span.first, error.span.last)
    if isinstance(error, StepFailed):
        error.command = mask.text(error.command)
        error.tail = tuple(mask.shown(line) for line in error.tail)
    return error


def mask_bug(error: BaseException, mask: Mask) -> None:
    """Take the values of secrets out of an exception that nobody foresaw, and those behind it, for its traceback."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or one in seen:
            continue
        seen.append(one)
        one.args = tuple(mask.text(word) if isinstance(word, str) else word for word in one.args)
        if isinstance(one, PybuildError):
            masked(one, mask)
        elif isinstance(one, OSError):
            one.filename = mask.text(one.filename) if isinstance(one.filename, str) else one.filename
        waiting += [one.__cause__, one.__context__]


def render(error: PybuildError, color: bool) -> str:
    """The whole report of an error, without a line end. Secrets were taken out before (`masked`)."""
    blocks = []
    if error.span is not None:
        blocks.append(_excerpt(error.span, color))
    blocks.append(_message(error, color))
    return "\n\n".join(blocks)


def _message(error: PybuildError, color: bool) -> str:
    first, *more = error.message.split("\n") if error.message else [type(error).__name__]
    head = f"pybuild: {printable(first)}"
    lines = [f"{_BOLD}{_RED}{head}{_PLAIN}" if color else head]
    lines += [f"  {printable(line)}" for line in more]
    if isinstance(error, StepFailed):
        lines += _step_lines(error)
    if error.hint:
        first, *more = error.hint.split("\n")
        lines += [f"  hint: {printable(first)}", *(f"        {printable(line)}" for line in more)]
    return "\n".join(lines)


def _step_lines(error: StepFailed) -> list[str]:
    lines = []
    if error.command:
        first, *more = error.command.rstrip().split("\n")
        lines += [f"  command: {_short(first)}", *(f"           {_short(line)}" for line in more[:MOST_LINES])]
    if error.status and str(error.status) not in error.message:
        lines.append(f"  exit status: {_status(error.status)}")
    if error.tail:
        lines += ["  last output:", *(f"    | {printable(line)}" for line in error.tail)]
    return lines


def _status(status: int) -> str:
    """The status as a shell has it, with a word on what it usually means."""
    if 128 < status < 193:
        import signal

        try:
            return f"{status} (killed by {signal.Signals(status - 128).name})"
        except ValueError:
            return f"{status} (killed by signal {status - 128})"
    meanings = {126: "found, but cannot be executed", 127: "command not found"}
    return f"{status} ({meanings[status]})" if status in meanings else str(status)


def _excerpt(span: Span, color: bool) -> str:
    """The place and the lines around it, those of the place marked in the gutter."""
    lines = span.source.lines()
    if lines and not lines[-1]:
        lines.pop()  # the text ended with a line end
    first, last = max(span.first - NEIGHBOURS, 1), min(span.last + NEIGHBOURS, len(lines))
    digits = len(str(last))
    shown = [_row(number, lines[number - 1], span, digits) for number in range(first, last + 1)]
    if len(shown) > MOST_LINES:
        left_out = len(shown) - MOST_LINES + 1
        shown[MOST_LINES - 4 : -3] = [f"{'':4}{'...':>{digits}} | ({left_out} lines)"]
    if color:
        shown = [f"{_BOLD}{line}{_PLAIN}" if line.startswith(">>>") else line for line in shown]
    return "\n".join([printable(_place(span)), *shown])


def _row(number: int, line: str, span: Span, digits: int) -> str:
    mark = ">>>" if span.first <= number <= span.last else ""
    return f"{mark:3} {number:>{digits}} | {_short(line)}".rstrip()


def _place(span: Span) -> str:
    name = "standard input" if span.source.name == "-" else span.source.name
    return f"{name}:{span.first}" if span.first == span.last else f"{name}:{span.first}-{span.last}"


def _short(line: str) -> str:
    line = printable(line).expandtabs(4)
    return line if len(line) <= MOST_COLUMNS else line[: MOST_COLUMNS - 3] + "..."


def exit_code_of(error: PybuildError) -> int:
    """The exit code of an error; one for a signal is 128 and its number."""
    return 128 + error.signal_number if isinstance(error, Interrupted) else error.exit_code
