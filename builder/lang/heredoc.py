"""The marks of here-documents (`<<EOF`, `3<<-"EOF"`) in a line. The bodies are read by `lang.lines`.

Source: POSIX XCU 2.7.4; the Dockerfile reference, "Here-Documents"; BuildKit's frontend for what counts as a mark: a
word that begins with it.
"""

from __future__ import annotations

import re

from builder.declare import dataclass
from builder.errors import BuildfileError
from builder.lang.words import split_line
from builder.pattern import pattern

_MARK = pattern(r"([0-9]*)<<(-?)[\t\n\f\r ]*+([^<]*)")
_LEADING_TABS = pattern(r"^\t+", re.MULTILINE)
_LARGEST_FD = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class HeredocMark:
    """A mark: the word that ends the body, whether leading tabs go (`<<-`), whether variables are expanded."""

    name: str
    chomp: bool
    expand: bool
    fd: int


def parse_mark(word: str) -> HeredocMark | None:
    """The mark that a word is, or None. Raises BuildfileError (without a span) when its quotes are not closed."""
    found = _MARK.fullmatch(word)
    if found is None or not found[3]:
        return None
    names = split_line(found[3], keep_quotes=False, keep_escapes=False)
    if len(names) != 1:
        return None
    as_written = split_line(found[3], keep_quotes=True, keep_escapes=False)
    expand = len(as_written) == 1 and _quotes(names[0]) == _quotes(as_written[0])
    return HeredocMark(names[0], found[2] == "-", expand, min(int(found[1][:10] or "0"), _LARGEST_FD))


def is_mark(word: str) -> bool:
    """Whether a word (or all that follows RUN) is a mark and nothing else."""
    try:
        return "<<" in word and parse_mark(word) is not None
    except BuildfileError:
        return False


def marks_in(line: str) -> list[HeredocMark]:
    """The marks of a line in order. A line whose quotes do not close has none: its shell will say so."""
    if "<<" not in line:
        return []
    try:
        words = split_line(line, keep_quotes=True, keep_escapes=True)
    except BuildfileError:
        return []
    marks = [parse_mark(word) for word in words if "<<" in word]
    return [mark for mark in marks if mark is not None]


def without_leading_tabs(body: str) -> str:
    """A body as `<<-` gives it."""
    return _LEADING_TABS.sub("", body)


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')
