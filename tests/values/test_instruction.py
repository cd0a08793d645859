"""Tests of parsed instructions as values."""

from __future__ import annotations

from typing import get_args

from builder.source import SourceText, Span
from builder.values.instruction import Add, Block, Copy, Directives, From, Heredoc, Instruction, Run, ShellForm

SPAN = Span(SourceText("Buildfile", "FROM scratch"), 1, 1)


def test_every_instruction_knows_its_place_and_its_text() -> None:
    """Histories and errors ask every instruction for its lines and its words, in that order of fields."""
    for kind in (*get_args(Instruction), From):
        assert list(kind.__dataclass_fields__)[:2] == ["span", "original"], kind


def test_flags_that_are_absent() -> None:
    """A flag that is not written is None or off, and never a default that somebody could have written."""
    copy = Copy(SPAN, "COPY a b", ("a",), "b")
    assert (copy.from_, copy.chown, copy.chmod, copy.link, copy.parents, copy.excludes) == (None,) * 3 + (
        False,
        False,
        (),
    )
    assert Add(SPAN, "ADD a b", ("a",), "b").unpack is None
    run = Run(SPAN, "RUN true", ShellForm("true"))
    assert (run.network, run.security, run.mounts) == (None, None, ())


def test_the_escape_is_a_backslash_unless_it_is_said() -> None:
    """A file without directives is read with `\\`."""
    assert Directives() == Directives(escape="\\", syntax=None, check=None)


def test_instructions_compare_by_value() -> None:
    """The same line read twice is the same instruction: tests and caches of parsers rely on it."""
    one = Block(From(SPAN, "FROM scratch", "scratch"), (), 0)
    assert one == Block(From(SPAN, "FROM scratch", "scratch"), (), 0)
    assert hash(Heredoc("EOF", "a\n", True)) == hash(Heredoc("EOF", "a\n", True))
