"""The command line of one command as read: its words and its options by name. No click here; a command's module gets a
`Line` and the `Caller`.
"""

from __future__ import annotations

from collections.abc import Mapping

from builder.declare import dataclass

Value = str | tuple[str, ...] | bool | None


@dataclass(frozen=True, slots=True)
class Line:
    """Arguments and options under their keys (`Option.key`, `Word.key`), as the table of the command declares them.

    Asking for what is not declared is a mistake of ours and raises KeyError; so does asking in the wrong form.
    """

    values: Mapping[str, Value]

    def text(self, key: str) -> str | None:
        """The value of an option or a word that is there once, or None."""
        value = self.values[key]
        if value is not None and not isinstance(value, str):
            raise KeyError(key)
        return value

    def word(self, key: str) -> str:
        """A word that must be there; click has seen to it."""
        value = self.text(key)
        if value is None:
            raise KeyError(key)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """The values of what may be there several times."""
        value = self.values[key]
        if not isinstance(value, tuple):
            raise KeyError(key)
        return value

    def flag(self, key: str) -> bool:
        """Whether a flag is there."""
        value = self.values[key]
        if not isinstance(value, bool):
            raise KeyError(key)
        return value
