"""Tests of what instructions ask of their lines."""

from __future__ import annotations

import pytest

from builder.errors import BuildfileError
from builder.lang.lines import read_lines
from builder.lang.request import Request
from builder.source import SourceText
from builder.values.instruction import ExecForm, Heredoc, ShellForm


def _request(text: str) -> Request:
    (line,) = read_lines(SourceText("Buildfile", text)).lines
    return Request(line.statement, line.span, line.text, line.heredocs)


def test_command_forms() -> None:
    """A JSON array is the exec form, all else the shell form."""
    assert _request('cmd ["a", "b"]').command() == ExecForm(("a", "b"))
    assert _request("cmd a  b").command() == ShellForm("a  b")
    assert _request("cmd").command() == ShellForm("")


def test_heredocs_lose_tabs_only_with_a_dash() -> None:
    """`<<-` takes leading tabs away, `<<` does not."""
    assert _request("RUN <<-A 3<<'B'\n\ta\nA\n\tb\nB\n").heredocs() == (
        Heredoc("A", "a\n", expand=True, fd=0),
        Heredoc("B", "\tb\n", expand=False, fd=3),
    )


def test_numbers_of_arguments() -> None:
    """Too few or too many arguments are told by the instruction's name."""
    assert _request("user a b").only_argument() == "a b"
    with pytest.raises(BuildfileError, match="USER requires exactly one argument"):
        _request("user").only_argument()
    with pytest.raises(BuildfileError, match="EXPOSE requires at least one argument"):
        _request("expose").some_arguments()
