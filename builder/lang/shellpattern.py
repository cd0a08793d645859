"""The patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*`, `?`, and a backslash before either. No variables here.

A pattern is cut at its stars into segments of fixed length, and matching never goes back over a choice: the earliest
place of every segment but the last leaves the most room for the rest. A regular expression with many stars would take
time without bound. `*` and `?` do not match a line feed. Source: POSIX XCU 2.13, without bracket expressions, and the
behaviour of BuildKit's frontend.
"""

from __future__ import annotations

import re

from builder.declare import dataclass
from builder.errors import BuildfileError
from builder.lang.letters import clipped

_LONGEST_PATTERN = 1000  # characters; a search costs the product of the lengths in the worst case
_MOST_ATTEMPTS = 3_000_000  # segments tried in vain in one replacement


@dataclass(frozen=True, slots=True)
class _Segment:
    """Characters in a row, `?` among them."""

    length: int
    forward: re.Pattern[str]
    backward: re.Pattern[str]

    def last_in(self, value: str, start: int, end: int) -> int:
        """Where the last occurrence within value[start:end] begins, or -1."""
        found = self.backward.search(value[start:end][::-1])
        return -1 if found is None else end - found.end()


@dataclass(slots=True)
class _Effort:
    """What one replacement may still cost. Only a pattern with line feeds and stars in turn can use it up."""

    left: int = _MOST_ATTEMPTS

    def spend(self, segments: int) -> None:
        self.left -= segments
        if self.left < 0:
            raise BuildfileError(
                "a pattern with this many stars cannot be searched for in a value with this many lines"
            )


@dataclass(frozen=True, slots=True)
class ShellPattern:
    """A compiled pattern; `segments` are what stands between its stars (one more than there are stars)."""

    segments: tuple[_Segment, ...]

    @classmethod
    def compile(cls, text: str, backwards: bool = False) -> ShellPattern:
        """Read a pattern; `backwards` makes one for reversed values. Raises BuildfileError for a bad escape."""
        pieces = _pieces(text)
        if backwards:
            pieces = [piece[::-1] for piece in pieces[::-1]]
        return cls(tuple(_segment(piece) for piece in pieces))

    def end_of_match(self, value: str, start: int, longest: bool) -> int:
        """Where the longest or shortest match that begins at `start` ends, or -1."""
        found = self.segments[0].forward.match(value, start)
        if found is None:
            return -1
        position = found.end()
        for number, segment in enumerate(self.segments[1:], 2):
            line_end = value.find("\n", position)
            limit = (len(value) if line_end < 0 else line_end) + segment.length
            if longest and number == len(self.segments):
                at = segment.last_in(value, position, min(limit, len(value)))
            else:
                ahead = segment.forward.search(value, position, min(limit, len(value)))
                at = -1 if ahead is None else ahead.start()
            if at < 0:
                return -1
            position = at + segment.length
        return position

    def search(self, value: str, start: int, effort: _Effort) -> tuple[int, int] | None:
        """The leftmost match that begins at or after `start`, as long as it can be."""
        while start <= len(value):
            found = self.segments[0].forward.search(value, start)
            if found is None:
                return None
            end = self.end_of_match(value, found.start(), longest=True)
            if end >= 0:
                return found.start(), end
            # What failed behind this place fails behind every later one of the line, because the star could have
            # reached there from here.
            line_end = value.find("\n", found.end())
            if line_end < 0:
                return None
            start = max(found.start() + 1, line_end + 1 - self.segments[0].length)
            effort.spend(len(self.segments))
        return None


def without_prefix(value: str, pattern: str, longest: bool) -> str:
    """`value` without the shortest or longest beginning that matches."""
    end = ShellPattern.compile(pattern).end_of_match(value, 0, longest)
    return value if end < 0 else value[end:]


def without_suffix(value: str, pattern: str, longest: bool) -> str:
    """`value` without the shortest or longest end that matches."""
    end = ShellPattern.compile(pattern, backwards=True).end_of_match(value[::-1], 0, longest)
    return value if end < 0 else value[: len(value) - end]


def with_first_replaced(value: str, pattern: str, replacement: str) -> str:
    """`value` with the leftmost match replaced."""
    found = ShellPattern.compile(pattern).search(value, 0, _Effort())
    return value if found is None else value[: found[0]] + replacement + value[found[1] :]


def with_all_replaced(value: str, pattern: str, replacement: str, limit: int) -> str:
    """`value` with every match replaced; an empty match right behind another does not count.

    Raises BuildfileError when the result is longer than `limit` characters.
    """
    compiled = ShellPattern.compile(pattern)
    effort = _Effort()
    pieces: list[str] = []
    done = position = length = 0
    while position <= len(value):
        found = compiled.search(value, position, effort)
        if found is None:
            break
        start, end = found
        pieces.append(value[done:start])
        if end > done or start == 0:
            pieces.append(replacement)
            length += len(replacement)
        if length > limit:
            raise BuildfileError(f"a replacement makes a value longer than {limit} characters")
        done = end
        position = max(end, position + 1)
    pieces.append(value[done:])
    return "".join(pieces)


def _pieces(text: str) -> list[list[str]]:
    """The pattern's characters between its stars; `?` stands as a list item of its own kind, literals as themselves."""
    if len(text) > _LONGEST_PATTERN:
        raise BuildfileError(f"a pattern is longer than {_LONGEST_PATTERN} characters: {clipped(text)}")
    pieces: list[list[str]] = [[]]
    characters = iter(text)
    for character in characters:
        if character == "*":
            pieces.append([])
        elif character == "?":
            pieces[-1].append(r"[^\n]")
        elif character == "\\":
            pieces[-1].append(re.escape(_escaped(next(characters, ""), text)))
        else:
            pieces[-1].append(re.escape(character))
    return pieces


def _escaped(character: str, text: str) -> str:
    if character not in ("*", "?", "\\", "}", "/"):
        raise BuildfileError(
            f"invalid escape {clipped(chr(92) + character)} in the pattern {clipped(text)}",
            hint="in a pattern a backslash may stand before * ? \\ } and / only",
        )
    return character


def _segment(piece: list[str]) -> _Segment:
    return _Segment(len(piece), re.compile("".join(piece)), re.compile("".join(reversed(piece))))
