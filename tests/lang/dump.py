"""Prints parsed files in the form of the conformance data's `result` files."""

from __future__ import annotations

from builder.lang.lines import read_lines
from builder.lang.statement import Statement
from builder.source import SourceText


def dump(source: SourceText) -> str:
    """The whole file, one instruction a line."""
    return "\n".join(f"({_statement(line.statement)})" for line in read_lines(source).lines)


def _statement(statement: Statement) -> str:
    parts = [statement.name.lower()]
    if statement.flags:
        parts.append("[" + " ".join(_quoted(flag) for flag in statement.flags) + "]")
    parts += [_quoted(argument) for argument in statement.args]
    if statement.nested is not None:
        parts.append(f"({_statement(statement.nested)})")
    return " ".join(parts)


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    named = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    if character in named:
        return named[character]
    return character if character.isprintable() else f"\\x{ord(character):02x}"
