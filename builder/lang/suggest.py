"""The nearest word to a misspelt one. Nothing here knows which words there are."""

from __future__ import annotations

from collections.abc import Iterable

_FARTHEST = 2
_LONGEST = 32  # longer words are nobody's misspelling, and distance costs the product of both lengths


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word at most two edits away, letter case aside; None where there is none or `word` is known."""
    folded = word.lower()
    best: tuple[int, str] | None = None
    for candidate in sorted(known):
        if candidate == word:
            return None
        distance = _distance(folded, candidate.lower())
        if distance <= _FARTHEST and (best is None or distance < best[0]):
            best = (distance, candidate)
    return None if best is None else best[1]


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """A hint: the nearest word, else `otherwise`."""
    near = nearest(word, known)
    return f"did you mean {near}?" if near else otherwise


def _distance(left: str, right: str) -> int:
    """How many letters to add, drop, change or swap with a neighbour; beyond the farthest only that it is far."""
    if abs(len(left) - len(right)) > _FARTHEST or len(left) > _LONGEST:
        return _FARTHEST + 1
    before: list[int] = []
    above = list(range(len(right) + 1))
    for row, letter in enumerate(left, 1):
        line = [row]
        for column, other in enumerate(right, 1):
            best = min(above[column] + 1, line[-1] + 1, above[column - 1] + (letter != other))
            if row > 1 and column > 1 and left[row - 2] == other and letter == right[column - 2]:
                best = min(best, before[column - 2] + 1)
            line.append(best)
        before, above = above, line
    return above[-1]
