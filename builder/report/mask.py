"""Hiding secrets in what is shown. Pure: bytes or text in, the same with the secrets' values replaced out."""

from __future__ import annotations

import re
from collections.abc import Iterable

from builder.report.text import kept, printable

_STARS = b"***"
Place = tuple[int, int]
"""Where in some bytes a secret begins and ends."""
Bytes = bytes  # in the class the name is a method's


class Mask:
    """Replaces the values of secrets: whole, by lines (as output is shown), and in the forms that encoders give them.

    Which forms there are is in `values.traces`.
    """

    def __init__(self, secrets: Iterable[bytes]) -> None:
        words = _words(secrets)
        self.longest_bytes = max(map(len, words), default=0)
        """No hidden word is longer; who cuts text leaves so much together."""
        self._alternatives = _alternatives(words)
        self._pattern = re.compile(self._alternatives) if words else None

    def bytes(self, data: bytes) -> bytes:
        """`data` with every secret replaced by stars; where two overlap, both are gone whole."""
        return _starred(data, self._places(data))

    def text(self, text: str) -> str:
        """`text` with every secret replaced by stars."""
        if self._pattern is None:
            return text
        return _text(self.bytes(_data(text)))

    def shown(self, text: str) -> str:
        """`text` as `printable` shows it, without the secrets, nor those that only an escape sequence kept apart.

        grep shows what it has found in colour: the sequences are dropped, and its letters stand together then.
        """
        if "\x1b" not in text or self._pattern is None:
            return printable(self.text(text))
        from bisect import bisect_left, bisect_right
        from itertools import accumulate

        data = _data(text)
        places = self._places(data)
        runs = kept(data)
        joined = list(accumulate((last - first for first, last in runs), initial=0))  # where each run begins there
        for start, end in self._places(b"".join(data[first:last] for first, last in runs)):
            first, last = bisect_right(joined, start) - 1, bisect_left(joined, end) - 1
            places.append((runs[first][0] + start - joined[first], runs[last][0] + end - joined[last]))
        return printable(_text(_starred(data, _merged(places))))

    def cut(self, data: Bytes, at: int) -> int:
        """Where to cut `data`, at `at` or after the secret that lies across it; `data` goes on for `longest_bytes`."""
        return next((end for start, end in self._places(data) if start < at < end), at)

    def _places(self, data: Bytes) -> list[Place]:
        """Where secrets stand, in order and apart: from each byte the longest that begins there."""
        if self._pattern is None or not self._pattern.search(data):
            return []
        everywhere = re.compile(b"(?=(" + self._alternatives + b"))")  # `re` remembers it
        return _merged([match.span(1) for match in everywhere.finditer(data)])


def _merged(places: list[Place]) -> list[Place]:
    """Those that overlap made one; those side by side stay two."""
    apart: list[Place] = []
    for start, end in sorted(places):
        if apart and start < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(apart[-1][1], end))
        else:
            apart.append((start, end))
    return apart


def _starred(data: bytes, places: list[Place]) -> bytes:
    """`data` with stars in these places."""
    pieces, done = [], 0
    for start, end in places:
        pieces += [data[done:start], _STARS]
        done = end
    return b"".join([*pieces, data[done:]]) if places else data


def _data(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _words(secrets: Iterable[bytes]) -> set[bytes]:
    words: set[bytes] = set()
    for secret in secrets:
        from builder.values.traces import shown_forms  # a build without secrets does not need it

        words |= shown_forms(secret)
    return words


def _alternatives(words: set[bytes]) -> bytes:
    """One pattern for all words, by their first two bytes: a key of thousands of lines is not tried line by line.

    The longest of a group is first, or a value that another one begins with would leave the other's tail in sight.
    """
    groups: dict[bytes, dict[bytes, list[bytes]]] = {}
    for word in sorted(words, key=lambda word: (-len(word), word)):
        groups.setdefault(word[:1], {}).setdefault(word[1:2], []).append(re.escape(word[2:]))
    heads = []
    for first, seconds in sorted(groups.items()):
        tails = (re.escape(second) + b"(?:" + b"|".join(rest) + b")" for second, rest in sorted(seconds.items()))
        heads.append(re.escape(first) + b"(?:" + b"|".join(tails) + b")")
    return b"|".join(heads)


NOTHING = Mask(())
