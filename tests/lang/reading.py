"""Reads single instructions, for tests."""

from __future__ import annotations

import pytest

from builder.errors import BuildfileError
from builder.lang.grammar import parse
from builder.source import SourceText
from builder.values.instruction import Buildfile, Instruction


def parsed(text: str) -> Buildfile:
    """A whole file."""
    return parse(SourceText("Buildfile", text))


def instruction(text: str) -> Instruction:
    """The one instruction behind FROM."""
    (only,) = parsed("FROM scratch\n" + text).blocks[0].instructions
    return only


def error_of(text: str) -> BuildfileError:
    """The error of a file that must be refused; it has a place."""
    with pytest.raises(BuildfileError) as caught:
        parsed(text)
    assert caught.value.span is not None
    return caught.value
