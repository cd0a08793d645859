"""Hiding secrets in what is shown. Pure: bytes or text in, the same with the secrets' values replaced out."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHORTEST_BYTES = 4
"""Lines of a secret shorter than this are not hidden: a `{` would be replaced everywhere and protect nothing."""

_STARS = "***"


class Mask:
    """Replaces the values of secrets, whole or line by line (output is shown a line at a time)."""

    def __init__(self, secrets: Iterable[bytes]) -> None:
        words = {part for secret in secrets for part in (secret, *secret.splitlines())}
        words = {word.strip() for word in words if len(word.strip()) >= SHORTEST_BYTES}
        # The longest first, or a value that another one begins with would leave the other's tail in sight.
        longest_first = sorted(words, key=lambda word: (-len(word), word))
        self._pattern = re.compile(b"|".join(re.escape(word) for word in longest_first)) if words else None

    def bytes(self, data: bytes) -> bytes:
        """`data` with every secret replaced by stars."""
        return self._pattern.sub(_STARS.encode(), data) if self._pattern else data

    def text(self, text: str) -> str:
        """`text` with every secret replaced by stars."""
        if self._pattern is None:
            return text
        return self.bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


NOTHING = Mask(())
