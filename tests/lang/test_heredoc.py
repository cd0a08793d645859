"""Tests of the marks of here-documents."""

from __future__ import annotations

import time

import pytest

from builder.errors import BuildfileError
from builder.lang.heredoc import HeredocMark, is_mark, marks_in, parse_mark, without_leading_tabs


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("<<EOF", HeredocMark("EOF", chomp=False, expand=True, fd=0)),
        ("<<-EOF", HeredocMark("EOF", chomp=True, expand=True, fd=0)),
        ("<<'EOF'", HeredocMark("EOF", chomp=False, expand=False, fd=0)),
        ('<<"EOF"', HeredocMark("EOF", chomp=False, expand=False, fd=0)),
        ('<<E"O"F', HeredocMark("EOF", chomp=False, expand=False, fd=0)),
        ("3<<EOF", HeredocMark("EOF", chomp=False, expand=True, fd=3)),
        ("<< EOF", HeredocMark("EOF", chomp=False, expand=True, fd=0)),
        ("<<'E O F'", HeredocMark("E O F", chomp=False, expand=False, fd=0)),
        ("<<$X", HeredocMark("$X", chomp=False, expand=True, fd=0)),
        ("<<\\EOF", HeredocMark("EOF", chomp=False, expand=True, fd=0)),
        ("99999999999999999999<<E", HeredocMark("E", chomp=False, expand=True, fd=(1 << 31) - 1)),
    ],
)
def test_marks(word: str, expected: HeredocMark) -> None:
    """A mark has a word that ends its body; quotes in it keep variables as they are."""
    assert parse_mark(word) == expected


@pytest.mark.parametrize("word", ["<<", "<<-", "<<<EOF", "a<<EOF", "<EOF", "<<E F", "<<''", "<<a<b", ""])
def test_no_marks(word: str) -> None:
    """Here-strings, marks without a word and words that do not begin with a mark are text."""
    assert parse_mark(word) is None
    assert not is_mark(word)


def test_open_quote() -> None:
    """A mark whose quote is open is an error, and is_mark says no to it."""
    with pytest.raises(BuildfileError):
        parse_mark("<<'EOF")
    assert not is_mark("<<'EOF")


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("RUN cat <<A >x && cat <<-'B'", ["A", "B"]),
        ("RUN echo $((1<<2)) \"<<A\" '<<B' \\<<C", []),
        ("RUN cat <<A 'open", []),
        ('COPY <<a.txt <<"b.txt" /x/', ["a.txt", "b.txt"]),
        ("RUN ${x:-<<A} << B", ["B"]),
    ],
)
def test_marks_in_a_line(line: str, names: list[str]) -> None:
    """The marks of a line are its unquoted words that begin with <<."""
    assert [mark.name for mark in marks_in(line)] == names


def test_tabs() -> None:
    """Tabs go at the beginning of every line, blanks stay."""
    assert without_leading_tabs("\t\ta\n\t b\n\tc\t\n") == "a\n b\nc\t\n"


def test_many_blanks_take_no_time() -> None:
    """A mark with a long gap is not tried at every place of the gap."""
    started = time.process_time()
    assert parse_mark("<<" + " " * 200_000 + "<") is None
    assert time.process_time() - started < 1
