"""Runs a path pattern in one pass over the path, all possibilities at once: where no expression would be safe.

The places that a pattern can be in are the bits of one number, and a step works on all of them together. Places and
characters met before are remembered, so that most steps are one look-up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum, auto

from builder.declare import dataclass, field

_MOST_REMEMBERED = 10_000


class Wild(Enum):
    """The parts of a pattern that are not one character."""

    STAR = auto()  # any characters but /
    DEEP = auto()  # nothing, or any characters up to and with a /
    ALL = auto()  # any characters


@dataclass(frozen=True, slots=True)
class Automaton:
    """A pattern's places as bits. The last one is behind the pattern: whoever is there has matched."""

    singles: tuple[tuple[int, re.Pattern[str]], ...]  # places that one character leads on from, if it fits
    stays: int  # places that any character stays in
    stays_in_name: int  # places that any character but / stays in
    leaves_by_slash: int  # places that a / leads on from
    skips: int  # places that nothing at all leads on from
    skips_two: int
    last: int
    remembered: dict[tuple[int, str], int] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, parts: Sequence[Wild | re.Pattern[str]]) -> Automaton:
        """The automaton for the parts of a pattern; an expression stands for one character."""
        singles: list[tuple[int, re.Pattern[str]]] = []
        stays = stays_in_name = leaves_by_slash = skips = skips_two = 0
        bit = 1
        for part in parts:
            match part:
                case Wild.STAR:
                    skips |= bit
                    stays_in_name |= bit
                case Wild.ALL:
                    skips |= bit
                    stays |= bit
                case Wild.DEEP:  # two places: at its beginning it may be left at once, inside only by a slash
                    skips |= bit
                    skips_two |= bit
                    bit <<= 1
                    stays |= bit
                    leaves_by_slash |= bit
                case _:
                    singles.append((bit, part))
            bit <<= 1
        return cls(tuple(singles), stays, stays_in_name, leaves_by_slash, skips, skips_two, bit)

    def accepts(self, path: str) -> bool:
        """Whether the whole path matches."""
        places = self._settled(1)
        for character in path:
            places = self._next(places, character)
            if not places:
                return False
        return bool(places & self.last)

    def accepts_beginning(self, path: str) -> bool:
        """Whether the path or a directory that it lies in matches."""
        places = self._settled(1)
        for character in path:
            if character == "/" and places & self.last:
                return True
            places = self._next(places, character)
            if not places:
                return False
        return bool(places & self.last)

    def _next(self, places: int, character: str) -> int:
        known = self.remembered.get((places, character))
        if known is not None:
            return known
        leaving = sum(bit for bit, expression in self.singles if places & bit and expression.fullmatch(character))
        staying = places & self.stays
        if character == "/":
            leaving |= places & self.leaves_by_slash
        else:
            staying |= places & self.stays_in_name
        result = self._settled(leaving << 1 | staying)
        if len(self.remembered) < _MOST_REMEMBERED:
            self.remembered[places, character] = result
        return result

    def _settled(self, places: int) -> int:
        """The places and those that can be reached from them without a character."""
        while True:
            more = places | (places & self.skips) << 1 | (places & self.skips_two) << 2
            if more == places:
                return places
            places = more
