"""Text made fit to show: control characters neutralised, cut to a width, sizes and times as people read them. Pure."""

from __future__ import annotations

import unicodedata

from builder.pattern import pattern

_SEQUENCE = pattern(
    r"\x1b(?:"
    r"\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement
    r"|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC and its kind: titles, hyperlinks, clipboard
    r"|[ -/]*[0-OQ-WYZ\\`-~]"  # two-character sequences
    r")"
)
"""Escape sequences of ECMA-48: they are dropped whole, because what is left of one is noise."""

_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Marks that reorder the text around them, so that a line reads as another one (CVE-2021-42574)."""

_ESCAPES: dict[int, str] = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x09},
    **{code: f"\\u{code:04x}" for code in (*_BIDI, 0x2028, 0x2029)},
    **{0xDC00 + code: f"\\x{code:02x}" for code in range(0x80, 0x100)},  # surrogateescape: a byte that is not UTF-8
}


def printable(text: str) -> str:
    """`text` as one line that a terminal shows and does not obey: sequences dropped, other controls as `\\x1b`."""
    if text.isprintable():
        return text
    if "\x1b" in text:
        text = _SEQUENCE.sub("", text)
    return text.translate(_ESCAPES)


def kept(data: bytes) -> list[tuple[int, int]]:
    """Where, between escape sequences, the bytes stand that `printable` leaves: begin and end of each run."""
    runs, done = [], 0
    for match in _SEQUENCE.finditer(data.decode("latin-1")):
        runs.append((done, match.start()))
        done = match.end()
    return [*runs, (done, len(data))]


def width_of(text: str) -> int:
    """The columns that a terminal needs for printable text: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """`text` within that many columns; where something is left out it ends in `...`."""
    text = text.expandtabs(4)
    if width_of(text) <= columns:
        return text
    mark = "..." if columns > 6 else ""
    room = max(columns - len(mark), 0)
    for at, character in enumerate(text):
        room -= _columns(character)
        if room < 0:
            return text[:at] + mark
    return text


def spread(left: str, right: str, columns: int) -> str:
    """One line with `left` (cut if it must be) and `right` at its end; on a very narrow line only `left`."""
    room = columns - width_of(right) - 2
    if room < 12:
        return cut(left, columns)
    left = cut(left, room)
    return left + " " * (columns - width_of(left) - width_of(right)) + right


def human_size(size_bytes: int) -> str:
    """A size in decimal units, as docker and registries show it."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} PB"


def human_seconds(seconds: float) -> str:
    """A duration: `0.3s`, `59.9s`, `2m 05s`, `1h 02m`."""
    if seconds < 59.95:
        return f"{max(seconds, 0.0):.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def human_age(seconds: float) -> str:
    """How long ago: `3 hours ago`."""
    if seconds < 1:
        return "just now"
    for unit, length_s in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count = int(seconds // length_s)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def brief_age(seconds: float) -> str:
    """How long ago where there is little room: `3h`."""
    for unit, length_s in (("y", 365 * 86400), ("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length_s:
            return f"{int(seconds // length_s)}{unit}"
    return f"{max(int(seconds), 0)}s"


def seconds_of(time_text: str) -> float | None:
    """The Unix time that an RFC 3339 text says, or None where it is none."""
    from datetime import UTC, datetime

    try:
        time = datetime.fromisoformat(time_text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
