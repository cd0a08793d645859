"""The `syntax` directive: which frontend a file asks for. Nothing here fetches or runs one.

A file that is no Dockerfile may say so in the way of its own language: `//syntax=` or a JSON object with "syntax".
Sources: the Dockerfile reference, "syntax"; BuildKit's frontend, how the syntax is detected.
"""

from __future__ import annotations

import json

from builder.errors import BuildfileError
from builder.lang.letters import SPACES, clipped
from builder.pattern import pattern
from builder.source import SourceText, Span

_DOCKERFILE = pattern(r"(?:(?:index\.)?docker\.io/)?docker/dockerfile(?:-upstream)?(?:[:@].*)?\Z")
_SLASHES = pattern(r"//[\t\n\v\f\r ]*+([a-zA-Z][a-zA-Z0-9]*+)[\t\n\f\r ]*+=[\t\n\f\r ]*+(.+)")
_DIRECTIVES = ("syntax", "check", "escape")


def foreign_frontend(syntax: str | None) -> str | None:
    """The frontend that a syntax directive names, or None where that is Docker's own or there is no directive."""
    name = (syntax or "").partition(" ")[0]
    return None if not name or _DOCKERFILE.match(name) else name


def refuse_other_languages(source: SourceText) -> None:
    """Raise BuildfileError where a text says that it is for a frontend in a way that no Dockerfile can."""
    text = source.text.removeprefix("\ufeff")
    lines = text.split("\n")
    shebang = lines[0].startswith("#!")
    start = "\n".join(lines[1:]) if shebang else text
    first = 1 + shebang
    name = None
    if start.startswith("//"):
        found = _of_slashes(start)
        if found is not None:
            name, first = found[0], first + found[1]
    elif start.lstrip(SPACES).startswith("{"):
        name = _of_object(start)
    if name is not None:
        raise BuildfileError(
            f"this file is not a Dockerfile: it is written for the frontend {clipped(name)}",
            span=Span(source, first, first),
            hint="only Dockerfiles can be built; point to one with -f",
        )


def _of_slashes(text: str) -> tuple[str, int] | None:
    """What the directives behind `//` at the top name, and how many lines they stand below the first."""
    for number, line in enumerate(text.split("\n", 8)[:8]):
        found = _SLASHES.fullmatch(line.strip(SPACES))
        if found is None or found[1].lower() not in _DIRECTIVES:
            return None
        if found[1].lower() == "syntax":
            return found[2].partition(" ")[0], number
    return None


def _of_object(text: str) -> str | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    name = document.get("syntax") if isinstance(document, dict) else None
    return name if isinstance(name, str) else None
