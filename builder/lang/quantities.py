"""Numbers as Buildfiles write them: durations, sizes in bytes, truth values, ids and modes. Pure text to numbers.

Every function raises ValueError with what is wrong, in words that fit behind "NAME: ". Sources: the Go standard
library's time.ParseDuration, strconv.ParseBool and strconv.ParseUint; docker/go-units RAMInBytes for sizes.
"""

from __future__ import annotations

from builder.pattern import pattern

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DURATION_PART = pattern(r"([0-9]*+)(\.?)([0-9]*+)(ns|us|µs|μs|ms|s|m|h)")
_SIZE = pattern(r"([0-9]++(?:\.[0-9]*+)?|\.[0-9]++) ?([bB]|[kmgtpKMGTP](?:[iI]?[bB])?)?")
_MOST_DIGITS = 30
_LARGEST_NS = (1 << 63) - 1
_LARGEST_ID = (1 << 32) - 1
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def duration_ns(text: str) -> int:
    """A duration (`1h2m3.5s`, `500ms`, `0`) in nanoseconds."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    total = position = 0
    while position < len(rest) or not rest:
        part = _DURATION_PART.match(rest, position)
        if part is None or not (part[1] or part[3]) or len(part[1]) > _MOST_DIGITS:
            raise ValueError(f"invalid duration {text[:60]!r}")
        unit = _UNITS_NS[part[4]]
        digits = part[3][:_MOST_DIGITS]
        total += int(part[1] or "0") * unit + int(digits or "0") * unit // 10 ** len(digits)
        position = part.end()
        if total > _LARGEST_NS:
            raise ValueError(f"invalid duration {text[:60]!r}: more than 292 years")
    return sign * total


def size_bytes(text: str) -> int:
    """A size (`64m`, `1.5GiB`, `4096`) in bytes; units are powers of 1024."""
    found = _SIZE.fullmatch(text)
    if found is None or len(found[1]) > _MOST_DIGITS:
        raise ValueError(f"invalid size {text[:60]!r}")
    power = "bkmgtp".index((found[2] or "b")[0].lower())
    size = int(float(found[1]) * 1024**power)
    if size > _LARGEST_NS:
        raise ValueError(f"invalid size {text[:60]!r}: too large")
    return size


def truth(text: str) -> bool:
    """`true`, `false` and the short forms of both."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"invalid value {text[:60]!r}")


def identity(text: str) -> int:
    """A user or group id, 0 to 2^32-1."""
    return _number(text, 10)


def mode(text: str) -> int:
    """Permission bits, in octal."""
    return _number(text, 8)


def count(text: str) -> int:
    """A whole number below 2^31; a sign is read, so that the caller can say what it thinks of it."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    number = _number(digits, 10)
    if number >= 1 << 31:
        raise ValueError(f"invalid number {text[:60]!r}: too large")
    return -number if text.startswith("-") else number


def _number(text: str, base: int) -> int:
    allowed = "01234567" if base == 8 else "0123456789"
    digits = text.lstrip("0") or text[:1]
    if not digits or len(digits) > _MOST_DIGITS or any(digit not in allowed for digit in digits):
        raise ValueError(f"invalid {'octal ' if base == 8 else ''}number {text[:60]!r}")
    number = int(digits, base)
    if number > _LARGEST_ID:
        raise ValueError(f"invalid number {text[:60]!r}: too large")
    return number
