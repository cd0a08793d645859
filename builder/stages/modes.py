"""--chmod: octal numbers and symbolic modes. Pure. Source: chmod(1), POSIX "chmod", EXTENDED DESCRIPTION."""

from __future__ import annotations

import re
from collections.abc import Callable

from builder.errors import BuildfileError
from builder.source import Span

ChangeMode = Callable[[int, bool], int]
"""From a mode (permission bits) and whether it is a directory's, the new mode."""

_OCTAL = re.compile(r"0*([0-7]{1,4})\Z")
_CLAUSE = re.compile(r"(?P<who>[ugoa]*)(?P<acts>(?:[-+=](?:[rwxXst]*|[ugo]))+)\Z")
_ACT = re.compile(r"([-+=])([rwxXst]*|[ugo])")
_MASKS = {"u": 0o4700, "g": 0o2070, "o": 0o0007, "a": 0o7777}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}


def parse_mode(text: str, span: Span) -> ChangeMode:
    """What a --chmod value does to a mode. Raises BuildfileError at `span` for what chmod(1) would refuse."""
    octal = _OCTAL.match(text)
    if octal is not None:
        fixed = int(octal[1], 8)
        return lambda _mode, _is_dir: fixed
    clauses = [_CLAUSE.match(clause) for clause in text.split(",")] if len(text) < 200 else [None]
    if not all(clauses):
        raise BuildfileError(
            f"--chmod={text[:60]}: not a mode", span=span, hint="write octal digits (0755) or symbols (u=rwX,go=rX)"
        )
    parsed = [(match["who"] or "a", _ACT.findall(match["acts"])) for match in clauses if match]

    def change(mode: int, is_dir: bool) -> int:
        for who, acts in parsed:
            for operator, letters in acts:
                mode = _applied(mode, who, (operator, letters), is_dir)
        return mode

    return change


def _applied(mode: int, who: str, act: tuple[str, str], is_dir: bool) -> int:
    operator, letters = act
    mask = 0
    for letter in who:
        mask |= _MASKS[letter]
    bits = _bits_of(mode, letters, is_dir) & (mask | (0o1000 if "t" in letters else 0))
    if operator == "+":
        return mode | bits
    if operator == "-":
        return mode & ~bits
    # `=` clears what the class has; a directory keeps setuid and setgid unless they are named (GNU chmod).
    keep = 0o6000 if is_dir else 0
    return (mode & ~(mask & ~keep)) | bits


def _bits_of(mode: int, letters: str, is_dir: bool) -> int:
    if letters in ("u", "g", "o") and letters:
        triple = (mode >> {"u": 6, "g": 3, "o": 0}[letters]) & 7
        return triple * 0o111
    bits = 0
    for letter in letters:
        if letter == "X":
            bits |= 0o111 if is_dir or mode & 0o111 else 0
        elif letter == "s":
            bits |= 0o6000
        elif letter == "t":
            bits |= 0o1000
        else:
            bits |= _BITS[letter]
    return bits
