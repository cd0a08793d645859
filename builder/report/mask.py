"""Hiding secrets in what is shown. Pure: bytes or text in, the same with the secrets' values replaced out."""

from __future__ import annotations

import re
from collections.abc import Iterable

_STARS = "***"
Bytes = bytes  # in the class the name is a method's


class Mask:
    """Replaces the values of secrets: whole, by lines (as output is shown), and in the forms that encoders give them.

    Which forms there are is in `values.traces`.
    """

    def __init__(self, secrets: Iterable[bytes]) -> None:
        words = _words(secrets)
        self.longest_bytes = max(map(len, words), default=0)
        """No hidden word is longer; who cuts text leaves so much together."""
        self._pattern = re.compile(_alternatives(words)) if words else None

    def bytes(self, data: bytes) -> bytes:
        """`data` with every secret replaced by stars."""
        return self._pattern.sub(_STARS.encode(), data) if self._pattern else data

    def text(self, text: str) -> str:
        """`text` with every secret replaced by stars."""
        if self._pattern is None:
            return text
        return self.bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def cut(self, data: Bytes, at: int) -> int:
        """Where to cut `data`, at `at` or after the secret that lies across it; `data` goes on for `longest_bytes`."""
        if self._pattern is not None:
            for match in self._pattern.finditer(data):
                if match.start() >= at:
                    break
                if match.end() > at:
                    return match.end()
        return at


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
