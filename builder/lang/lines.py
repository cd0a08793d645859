"""A Buildfile's text as logical lines: directives, comments, continuations, here-documents.

Knows no instruction's meaning. Source: the Dockerfile reference, "Parser directives" and "Here-Documents"; where it
is silent (comments and blank lines in the middle of a continued line, what ends a line), the behaviour of BuildKit's
frontend.
"""

from __future__ import annotations

import re
from functools import lru_cache

from builder.declare import dataclass
from builder.errors import BuildfileError
from builder.lang.heredoc import HeredocMark, marks_in
from builder.lang.letters import SPACES, clipped
from builder.lang.statement import Statement, read_statement
from builder.pattern import pattern
from builder.source import SourceText, Span
from builder.values.instruction import Directives

_DIRECTIVE = pattern(r"#[\t\n\v\f\r ]*+([a-zA-Z][a-zA-Z0-9]*+)[\t\n\f\r ]*+=[\t\n\f\r ]*+(.+)", re.DOTALL)
_NAMES = ("check", "escape", "syntax")
_TAKE_BODIES = ("add", "copy", "run")


@dataclass(frozen=True, slots=True)
class HeredocBody:
    """A here-document as it stands in the file: leading tabs and line ends included."""

    mark: HeredocMark
    text: str


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """An instruction's line with its continuations joined, its parts, the bodies behind it, the comments above it.

    `blank_lines` are the numbers of blank lines inside of it.
    """

    statement: Statement
    span: Span
    heredocs: tuple[HeredocBody, ...] = ()
    comments: tuple[str, ...] = ()
    blank_lines: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """The joined line."""
        return self.statement.text.strip(SPACES)


@dataclass(frozen=True, slots=True)
class Lines:
    """A whole text, cut."""

    directives: Directives
    lines: tuple[LogicalLine, ...]
    check_line: int = 1  # where the check directive is, if there is one


@lru_cache(maxsize=1)  # the grammar and three kinds of checks ask for those of one Buildfile
def read_lines(source: SourceText) -> Lines:
    """Cut a text into logical lines. Raises BuildfileError with a span."""
    reader = _Reader(source)
    directives = reader.read_directives()
    return Lines(directives, reader.read_all(directives.escape), reader.check_line)


def read_trigger_lines(source: SourceText, escape: str) -> tuple[LogicalLine, ...]:
    """As `read_lines` for a text that has no directives. Raises BuildfileError with a span."""
    return _Reader(source).read_all(escape)


class _Reader:
    """Goes through the physical lines once; `number` is that of the line read last, from 1."""

    def __init__(self, source: SourceText) -> None:
        self.source = source
        self.raw = source.text.removeprefix("\ufeff").split("\n")
        self.number = 0
        self.check_line = 1
        self.directives_end = 0
        self.total = len(self.raw) - (self.raw[-1] == "")

    def next_line(self) -> str | None:
        """The next line without its end."""
        if self.number >= self.total:
            return None
        self.number += 1
        return self.raw[self.number - 1].rstrip("\r")

    def error(self, message: str, first: int, hint: str | None = None) -> BuildfileError:
        return BuildfileError(message, span=Span(self.source, first, max(first, self.number)), hint=hint)

    def read_directives(self) -> Directives:
        """The directives of the first lines. Anything else (a comment, a blank line, `#!` for `escape`) ends them."""
        found: dict[str, str] = {}
        shebang = self.total > 0 and self.raw[0].startswith("#!")
        for number, raw in enumerate(self.raw[shebang : self.total], 1 + shebang):
            directive = _DIRECTIVE.fullmatch(raw.strip(SPACES))
            name = "" if directive is None else directive[1].lower()
            if directive is None or name not in _NAMES:
                break
            if name in found and not shebang:
                raise BuildfileError(
                    f"only one {name} parser directive can be used", span=Span(self.source, number, number)
                )
            if name == "check" and name not in found:
                self.check_line = number
            found.setdefault(name, directive[2])
            self.directives_end = number
            if name == "escape" and not shebang:
                self.check_escape(directive[2], number)
        escape = "\\" if shebang else found.get("escape", "\\")
        return Directives(escape, found.get("syntax"), found.get("check"))

    def check_escape(self, value: str, number: int) -> None:
        if value not in ("\\", "`"):
            raise BuildfileError(
                f"invalid escape token {clipped(value)}",
                span=Span(self.source, number, number),
                hint="the escape directive takes \\ or `",
            )

    def read_all(self, escape: str) -> tuple[LogicalLine, ...]:
        lines: list[LogicalLine] = []
        comments: list[str] = []
        while (line := self.next_line()) is not None:
            text = line.lstrip(SPACES)
            if text.startswith("#") and self.number <= self.directives_end:
                continue
            if text.startswith("#"):
                comment = text[1:].strip(SPACES)
                if comment:
                    comments.append(comment)
                else:
                    comments = []
            elif text:
                lines.append(self.instruction(text, escape, tuple(comments)))
                comments = []
        return tuple(lines)

    def instruction(self, text: str, escape: str, comments: tuple[str, ...]) -> LogicalLine:
        first = self.number
        joined, blanks = self.joined(text, escape)
        try:
            statement = read_statement(joined, escape)
        except BuildfileError as error:
            raise error.at(Span(self.source, first, self.number)) from None
        bodies = self.bodies(statement, first)
        span = Span(self.source, first, self.number)
        return LogicalLine(statement, span, bodies, comments, blanks)

    def joined(self, text: str, escape: str) -> tuple[str, tuple[int, ...]]:
        """The line with those that continue it, and the numbers of blank lines among them."""
        parts: list[str] = []
        blanks: list[int] = []
        part, continued = _continuation(text, escape)
        parts.append(part)
        while continued and (line := self.next_line()) is not None:
            stripped = line.lstrip(SPACES)
            if not stripped:
                blanks.append(self.number)
            elif not stripped.startswith("#"):
                part, continued = _continuation(line, escape)
                parts.append(part)
        return "".join(parts), tuple(blanks)

    def bodies(self, statement: Statement, first: int) -> tuple[HeredocBody, ...]:
        inner = statement.innermost
        if inner.name.lower() not in _TAKE_BODIES or inner.is_json:
            return ()
        try:
            marks = marks_in(statement.text)
        except BuildfileError as error:
            raise error.at(Span(self.source, first, self.number)) from None
        return tuple(HeredocBody(mark, self.body(mark, first)) for mark in marks)

    def body(self, mark: HeredocMark, first: int) -> str:
        start = self.number
        while (line := self.next_line()) is not None:
            if (line.lstrip("\t") if mark.chomp else line) == mark.name:
                return "".join(raw + "\n" for raw in self.raw[start : self.number - 1])
        hint = f"end it with a line that is just {mark.name}"
        if not mark.chomp and any(raw.strip(SPACES) == mark.name for raw in self.raw[start:]):
            hint += " (only <<- allows tabs before it)"
        self.number = first
        raise self.error(f"unterminated heredoc: nothing ends <<{clipped(mark.name)[1:-1]}", first, hint)


def _continuation(line: str, escape: str) -> tuple[str, bool]:
    """The line without the escape that continues it, and whether there was one. A doubled escape means itself."""
    cut = line.rstrip(" \t")
    if cut.endswith(escape) and cut[-2:-1] != escape:
        return cut[:-1], True
    return line, False
