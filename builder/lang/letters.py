"""What counts as white space, a letter or a digit in a Buildfile. Nothing here knows about instructions.

Python's idea of white space has four control characters more (U+001C to U+001F) and its `\\w` takes numerals that are
not digits, so both are spelt out. Source: the Go standard library's unicode.IsSpace, IsLetter and IsDigit.
"""

from __future__ import annotations

from builder.pattern import pattern

SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""Unicode's White_Space."""

BLANKS = pattern(r"[\t\v\f\r ]++")
"""What separates the words of an instruction."""

SPACE_RUN = pattern(f"[{SPACES}]++")


def is_name_start(character: str) -> bool:
    """Whether a variable's name may begin with this character (digits make positional parameters)."""
    return character == "_" or character.isalpha()


def is_name_part(character: str) -> bool:
    """Whether a variable's name may go on with this character."""
    return character == "_" or character.isalpha() or character.isdecimal()


def clipped(text: str, limit: int = 80) -> str:
    """`text` quoted for a message, cut to about `limit` characters."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
