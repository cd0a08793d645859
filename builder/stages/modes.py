"""--chmod: octal numbers and symbolic modes. Pure.

Source: chmod(1), POSIX "chmod", EXTENDED DESCRIPTION. Where chmod programs differ (`X` after another change, the sticky
bit, `=` on a directory that has setgid) the rules are BSD's setmode(3), which BuildKit follows.
"""

from __future__ import annotations

from builder.declare import dataclass
from builder.errors import BuildfileError
from builder.pattern import pattern
from builder.source import Span

_OCTAL = pattern(r"0*([0-7]{1,4})\Z")
_CLAUSE = pattern(r"(?P<who>[ugoa]*)(?P<acts>(?:[-+=](?:[ugo]|[rwxXst]*))+)\Z")
_ACT = pattern(r"([-+=])([ugo]|[rwxXst]*)")
_MASKS = {"u": 0o4700, "g": 0o2070, "o": 0o0007, "a": 0o6777}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class ChangeMode:
    """What a --chmod value does to a mode: an octal one is the new mode, a symbolic one changes the old one.

    `clauses` are the classes of each clause and its acts, an operator with its letters.
    """

    fixed: int | None
    clauses: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()

    def __call__(self, mode: int, is_dir: bool) -> int:
        """From a mode (permission bits) and whether it is a directory's, the new mode."""
        if self.fixed is not None:
            return self.fixed
        searchable = is_dir or bool(mode & 0o111)
        for who, acts in self.clauses:
            for act in acts:
                mode = _applied(mode, who, act, searchable)
        return mode


def parse_mode(text: str, span: Span) -> ChangeMode:
    """What a --chmod value does to a mode. Raises BuildfileError at `span` for what chmod(1) would refuse."""
    octal = _OCTAL.match(text)
    if octal is not None:
        return ChangeMode(int(octal[1], 8))
    clauses = [_CLAUSE.match(clause) for clause in text.split(",")] if len(text) < _LONGEST else [None]
    if not all(clauses):
        raise BuildfileError(
            f"--chmod={text[:60]}: not a mode", span=span, hint="write octal digits (0755) or symbols (u=rwX,go=rX)"
        )
    return ChangeMode(
        None, tuple((match["who"] or "a", tuple(_ACT.findall(match["acts"]))) for match in clauses if match)
    )


def _applied(mode: int, who: str, act: tuple[str, str], searchable: bool) -> int:
    operator, letters = act
    mask = 0
    for letter in who:
        mask |= _MASKS[letter]
    if "t" in letters and mask & ~_MASKS["o"]:
        mask |= 0o1000
    bits = _bits_of(mode, letters, searchable) & mask
    if operator == "+":
        return mode | bits
    if operator == "-":
        return mode & ~bits
    return (mode & ~mask) | bits


def _bits_of(mode: int, letters: str, searchable: bool) -> int:
    if letters in ("u", "g", "o"):
        triple = (mode >> {"u": 6, "g": 3, "o": 0}[letters]) & 7
        return triple * 0o111
    bits = 0
    for letter in letters:
        if letter == "X":
            bits |= 0o111 if searchable else 0
        elif letter == "s":
            bits |= 0o6000
        elif letter == "t":
            bits |= 0o1000
        else:
            bits |= _BITS[letter]
    return bits
