"""Regular expressions of modules, compiled when they are first used.

`re.compile` takes 0.05 to 0.5 ms, and a module is often loaded for something else than its expressions: of 50 that a
build imported in which nothing changed it used 20. Why: docs/decisions/0033-values-are-declared-late.md.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["pattern"]


class _Pattern:
    """Stands for an expression; the methods that somebody has asked for are those of the compiled one."""

    def __init__(self, text: str, flags: int) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        """Only asked where there is no such attribute yet: the next use goes straight to the compiled method."""
        found = getattr(re.compile(self._text, self._flags), name)  # `re` remembers what it has compiled
        setattr(self, name, found)
        return found


def pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """An expression as `re.compile` reads it; one that is wrong raises `re.error` when it is first used."""
    return _Pattern(text, flags)  # type: ignore[return-value]  # it has whatever that has
