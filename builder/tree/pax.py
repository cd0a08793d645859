"""The small grammars inside a tar header: numbers, times, and the records of PAX headers. Bytes in, values out.

Everything here raises ValueError with words that go after "damaged tar: "; whoever knows the place adds it.
Sources: POSIX.1-2017, pax (ustar interchange format, pax extended header); GNU tar manual, "Extensions" (base-256);
star(5) for SCHILY.xattr.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Final

from builder.tree.inode import is_image_xattr

NS: Final = 1_000_000_000
MAX_ID: Final = 0xFFFF_FFFE
"""The last id there can be: to chown(2) the next one means "do not change"."""

_MAX_SECONDS = 1 << 60  # what a time_t holds, with room; file systems clamp to much less
_XATTR_PREFIX = b"SCHILY.xattr."


@lru_cache(maxsize=4096)
def number(field: bytes) -> int:
    """A numeric header field: octal digits with spaces or NULs around, or base-256 if the first bit is set.

    The cache pays because ids, modes and times repeat over a whole archive.
    """
    if field[0] & 0x80:
        return _base_256(field)
    digits = field.partition(b"\0")[0].strip(b" ")
    if digits.isdigit():  # int() alone would take "1_0", "+1" and "0o1"
        try:
            return int(digits, 8)
        except ValueError:
            pass
    elif not digits:
        return 0
    raise ValueError(f"{field!r} is not a number")


def _base_256(field: bytes) -> int:
    """Two's complement in all bits but the first, which only marks the form; bit 0x40 is the sign."""
    value = int.from_bytes(field, "big") - (1 << (8 * len(field) - 1))
    return value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value


def checksum_is_right(block: bytes) -> bool:
    """Whether a header's checksum is that of its bytes, with the checksum's own field taken as spaces.

    The low half of Adler-32 is one more than the sum of the bytes modulo 65521; over 256 bytes a sum is never that
    large. So two of them give the exact sum, in a tenth of the time of sum().
    """
    total = (zlib.adler32(block[:256]) & 0xFFFF) + (zlib.adler32(block[256:]) & 0xFFFF) - 2
    field = block[148:156]
    try:
        written = number(field)
    except ValueError:
        return False
    if written == total - sum(field) + 256:
        return True
    # Some old tars added the bytes as signed numbers (GNU tar and Go take both).
    high = sum(1 for byte in block[:148] + block[156:] if byte > 127)
    return written == total - sum(field) + 256 - 256 * high


def identity(value: int, what: str) -> int:
    """A uid or gid that there can be."""
    if not 0 <= value <= MAX_ID:
        raise ValueError(f"{value} is not a {what}")
    return value


def seconds_ns(value: int) -> int:
    """Whole seconds, as a header has them, in nanoseconds."""
    if abs(value) > _MAX_SECONDS:
        raise ValueError(f"{value} is not a time")
    return value * NS


def decimal(value: bytes, what: str) -> int:
    """A number in a PAX record: decimal digits and nothing else."""
    if not value.isdigit() or len(value) > 20:
        raise ValueError(f"{value[:40]!r} is not a {what}")
    return int(value)


def time_ns(value: bytes) -> int:
    """A time in a PAX record, seconds with a sign and a fraction of any length; past nanoseconds it is cut off.

    Cut towards the past, so that -1.5 is the instant half a second before -1 and digits beyond the ninth never make a
    time later (POSIX, pax: "the time shall be rounded toward negative infinity" where it cannot be exact).
    """
    whole, _, fraction = value.removeprefix(b"-").partition(b".")
    if not whole.isdigit() or (fraction and not fraction.isdigit()) or len(whole) > 19:
        raise ValueError(f"{value[:40]!r} is not a time")
    magnitude = seconds_ns(int(whole)) + int(fraction[:9].ljust(9, b"0"))
    if not value.startswith(b"-"):
        return magnitude
    return -magnitude - (1 if fraction[9:].strip(b"0") else 0)


def records(data: bytes) -> dict[bytes, bytes]:
    """The records of a PAX header, `<length> <key>=<value>\\n` each; the last of a key counts."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        length = data[at:space] if space > 0 else b""
        end = at + int(length) if length.isdigit() else 0
        if not at < space < end <= len(data) or data[end - 1] != 0x0A:  # each record ends after it began: no ring
            raise ValueError("a PAX header has a record of wrong length")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise ValueError("a PAX header has a record without a name")
        found[key] = value
        at = end
    return found


def xattrs_of(found: dict[bytes, bytes]) -> tuple[tuple[str, bytes], ...]:
    """The extended attributes in PAX records, sorted by name.

    Only those that belong into an image: not what would speak to our overlay or store in a stranger's voice
    (`user.overlay.opaque`, an owner of ours), nor what describes the machine that made the tar (`security.selinux`).
    """
    pairs = []
    for key, value in found.items():
        if key.startswith(_XATTR_PREFIX):
            name = key[len(_XATTR_PREFIX) :].decode("utf-8", "surrogateescape")
            if not name or "\0" in name:
                raise ValueError("an extended attribute has a name that is empty or holds a NUL byte")
            if is_image_xattr(name):
                pairs.append((name, value))
    return tuple(sorted(pairs))
