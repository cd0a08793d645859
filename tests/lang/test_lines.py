"""Tests of the logical lines: directives, comments, continuations, here-documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import BuildfileError
from builder.lang.lines import LogicalLine, read_lines, read_trigger_lines
from builder.source import SourceText
from builder.values.instruction import Directives
from tests.lang import data
from tests.lang.dump import dump


def _source(text: str) -> SourceText:
    return SourceText("Buildfile", text)


def _lines(text: str) -> list[LogicalLine]:
    return list(read_lines(_source(text)).lines)


@pytest.mark.parametrize("folder", data.folders("parser/testfiles"))
def test_result_pairs(folder: Path) -> None:
    """A file falls into the parts that BuildKit's dump of it shows."""
    expected = data.text_of(folder / "result").rstrip("\n")
    assert dump(_source(data.text_of(folder / "Dockerfile"))) == expected


@data.needed
def test_line_numbers() -> None:
    """Every instruction knows its first and last line."""
    text = data.text_of(data.FOLDER / "parser/testfile-line/Dockerfile")
    spans = [(line.statement.name, line.span.first, line.span.last) for line in _lines(text)]
    assert spans == [("FROM", 5, 5), ("ENV", 11, 12), ("RUN", 17, 31)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a", Directives()),
        (
            "# escape=`\n# syntax = docker/dockerfile:1 \n#check=skip=all",
            Directives("`", "docker/dockerfile:1", "skip=all"),
        ),
        ("#   EsCaPe  =  `\nFROM a", Directives("`")),
        ("  # escape=`", Directives("`")),
        ("\n# escape=`", Directives()),
        ("# a comment\n# escape=`", Directives()),
        ("# unknown=1\n# escape=`", Directives()),
        ("FROM a\n# escape=`", Directives()),
        ("\ufeff# escape=`", Directives("`")),
        ("# escape=`\r\n# syntax=x\r\n", Directives("`", "x")),
        ("#!/usr/bin/x\n# syntax=y\n# escape=`", Directives("\\", "y")),
        ("# check=skip=A; error=true", Directives(check="skip=A; error=true")),
        ("# escape", Directives()),
        ("# escape=", Directives()),
    ],
)
def test_directives(text: str, expected: Directives) -> None:
    """Directives stand at the very top, in any case and with any spaces."""
    assert read_lines(_source(text)).directives == expected


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("# escape=x\nFROM a", "escape", 1),
        ("# escape=\\\\\nFROM a", "escape", 1),
        ("# syntax=a\n# syntax=b\n", "only one syntax", 2),
        ("# escape=`\n# escape=`\n", "only one escape", 2),
    ],
)
def test_bad_directives(text: str, message: str, line: int) -> None:
    """An escape other than the two, and a directive twice, are errors."""
    with pytest.raises(BuildfileError, match=message) as caught:
        read_lines(_source(text))
    assert caught.value.span is not None
    assert caught.value.span.first == line


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("RUN a\\\nb", "RUN ab"),
        ("RUN a \\\n  b", "RUN a   b"),
        ("RUN a \\ \t\n b", "RUN a  b"),
        ("RUN a \\\r\n b\r\n", "RUN a  b"),
        ("RUN a \\\n# comment \\\n  # another\n b", "RUN a  b"),
        ("RUN a \\\n\n   \n b", "RUN a  b"),
        ("RUN a\\\\\n", "RUN a\\\\"),
        ("RUN a \\", "RUN a"),
        ("\\\nRUN a", "RUN a"),
        ("  RUN a", "RUN a"),
        ("RUN a # no comment", "RUN a # no comment"),
        ("\ufeffRUN a", "RUN a"),
        ("RUN a\x0cb\x85c", "RUN a\x0cb\x85c"),
    ],
)
def test_continuations(text: str, joined: str) -> None:
    """An escape at a line's end goes on with the next that is neither comment nor blank."""
    assert [line.text for line in _lines(text)] == [joined]


def test_other_escape_continues() -> None:
    """With a backquote as the escape a backslash at the end means itself."""
    lines = _lines("# escape=`\nRUN a `\n b\nRUN c\\\nRUN d``\n")
    assert [line.text for line in lines] == ["RUN a  b", "RUN c\\", "RUN d``"]


def test_blank_lines_are_told() -> None:
    """The numbers of blank lines inside an instruction are kept for the check that warns of them."""
    assert _lines("FROM a\nRUN b \\\n\n # c\n\n d\n")[1].blank_lines == (3, 5)


def test_comments_belong_to_the_next_instruction() -> None:
    """Comments above an instruction are kept; an empty one begins anew."""
    lines = _lines("FROM a\n# one\n#\n# two\n  # three\n\nRUN b\nRUN c\n")
    assert [line.comments for line in lines] == [(), ("two", "three"), ()]


@pytest.mark.parametrize(
    ("text", "bodies"),
    [
        ("RUN <<EOF\na\n\nb\nEOF\nRUN x", ["a\n\nb\n"]),
        ("RUN <<A cat <<B\n1\nA\n2\nB\n", ["1\n", "2\n"]),
        ("COPY <<EOF /x\n\tEOF\nEOF\n", ["\tEOF\n"]),
        ("COPY <<-EOF /x\n\ta\n\t\tEOF\n", ["\ta\n"]),
        ("ADD <<EOF /x\nEOF", [""]),
        ("ONBUILD RUN <<EOF\n# no comment\n\\\nEOF\n", ["# no comment\n\\\n"]),
        ("RUN <<EOF\r\na\r\nEOF\r\n", ["a\r\n"]),
        ("RUN <<EOF \\\n cat\nbody\nEOF\n", ["body\n"]),
        ("RUN <<'E F'\nE\nE F\n", ["E\n"]),
    ],
)
def test_heredocs(text: str, bodies: list[str]) -> None:
    """A body reaches to the line that is its word, and is kept as it stands."""
    assert [body.text for body in _lines(text)[0].heredocs] == bodies


@pytest.mark.parametrize(
    "text", ["ENV a=<<EOF", "CMD cat <<EOF", 'RUN ["cat", "<<EOF"]', "ONBUILD CMD <<EOF", "RUN a '<<EOF'"]
)
def test_no_heredocs(text: str) -> None:
    """Only RUN, COPY and ADD have here-documents, and not in the JSON form or in quotes."""
    assert _lines(text)[0].heredocs == ()


def test_unterminated_heredoc() -> None:
    """A here-document without an end is an error at its instruction; the hint sees an indented end."""
    with pytest.raises(BuildfileError, match="unterminated heredoc") as caught:
        read_lines(_source("FROM a\nCOPY <<EOF /x\n  EOF\n"))
    assert caught.value.span is not None
    assert (caught.value.span.first, caught.value.span.last) == (2, 2)
    assert "tabs" in (caught.value.hint or "")


def test_errors_of_statements_have_a_place() -> None:
    """What is wrong with a line's parts is reported with all of its lines."""
    with pytest.raises(BuildfileError) as caught:
        read_lines(_source("FROM a\nCMD [1, \\\n2]\n"))
    assert caught.value.span is not None
    assert (caught.value.span.first, caught.value.span.last) == (2, 3)


def test_triggers_have_no_directives() -> None:
    """In the text of a trigger a directive is a comment."""
    lines = read_trigger_lines(_source("# escape=`\nRUN a \\\n b"), "\\")
    assert [line.text for line in lines] == ["RUN a  b"]


def test_many_lines_take_no_time() -> None:
    """Hundreds of thousands of comments, continuations and blank lines are read in moments."""
    text = "# c\n" * 100_000 + "RUN a \\\n" + "\n" * 100_000 + " b \\\n" * 100_000 + "c\n"
    assert len(_lines(text)) == 1
