"""Where text came from: a named text and spans of its lines. Nothing here reads files."""

from __future__ import annotations

from builder.declare import dataclass


@dataclass(frozen=True, slots=True)
class SourceText:
    """A text that a person wrote, under the name by which errors call it (a path, `-`, `ONBUILD of IMAGE`)."""

    name: str
    text: str

    def lines(self) -> list[str]:
        """The text's lines without their ends; a form feed or NEL does not end a line, CR LF and LF do."""
        return [line.removesuffix("\r") for line in self.text.split("\n")]


@dataclass(frozen=True, slots=True)
class Span:
    """Lines `first` to `last` (1-based, both included) of a source."""

    source: SourceText
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.source.name}:{self.first}"
