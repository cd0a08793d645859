"""Numbers, times, checksums and PAX records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.tree import pax
from tests.tree.rawtar import header, record


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b"   644 \0", 0o644),
        (b"644\0junk", 0o644),
        (b"77777777", 0o77777777),
        (b"\0\0\0\0\0\0\0\0", 0),
        (b"        ", 0),
        (b"\x80\0\0\0\0\0\0\x05", 5),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", -1),
        (b"\xff" * 11 + b"\xfe", -2),
    ],
)
def test_number(field: bytes, value: int) -> None:
    """A number is octal with spaces and NULs around it, or base-256 in two's complement."""
    assert pax.number(field) == value


@pytest.mark.parametrize(
    "field", [b"0000648\0", b"1_0\0\0\0\0\0", b"+5\0\0\0\0\0\0", b"-5\0\0\0\0\0\0", b"0x1\0\0\0\0\0", b"\x7f"]
)
def test_bad_number(field: bytes) -> None:
    """What only Python's int() would take for a number is refused."""
    with pytest.raises(ValueError, match="is not a number"):
        pax.number(field)


@given(st.integers(-(2**94), 2**94 - 1))
def test_base_256(value: int) -> None:
    """Base-256 gives back every number that fits in the bits after the mark."""
    field = (value % (1 << 96) | 1 << 95).to_bytes(12, "big")
    assert pax.number(field) == value


@given(st.binary(min_size=512, max_size=512))
def test_checksum(block: bytes) -> None:
    """The checksum is the sum of all bytes of the header, its own field taken as spaces."""
    blank = block[:148] + b" " * 8 + block[156:]
    assert pax.checksum_is_right(block[:148] + b"%06o\0 " % sum(blank) + block[156:])
    assert not pax.checksum_is_right(block[:148] + b"%06o\0 " % (sum(blank) + 1) + block[156:])


def test_signed_checksum() -> None:
    """A checksum over signed bytes, as some old tars wrote, is right too."""
    block = header("ä".encode())
    blank = block[:148] + b" " * 8 + block[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in blank)
    assert pax.checksum_is_right(block[:148] + b"%06o\0 " % signed + block[156:])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"0", 0),
        (b"1.5", 1_500_000_000),
        (b"-1.5", -1_500_000_000),
        (b"-0.25", -250_000_000),
        (b"12.", 12_000_000_000),
        (b"1.1234567899", 1_123_456_789),
        (b"-1.1234567891", -1_123_456_790),
        (b"-1.1234567890", -1_123_456_789),
    ],
)
def test_time(text: bytes, value: int) -> None:
    """A time has nanoseconds; what is finer is rounded towards the past."""
    assert pax.time_ns(text) == value


@pytest.mark.parametrize("text", [b"", b".5", b"--1", b"+1", b"1e9", b"1.5.2", b"1.-5", b"nan", b"9" * 30])
def test_bad_time(text: bytes) -> None:
    """What is no decimal number, or beyond any time, is refused."""
    with pytest.raises(ValueError, match="is not a time"):
        pax.time_ns(text)


@given(st.dictionaries(st.binary(min_size=1, max_size=20).filter(lambda key: b"=" not in key), st.binary(max_size=200)))
def test_records(found: dict[bytes, bytes]) -> None:
    """Records give back every key and value, line ends and equals signs in the value included."""
    assert pax.records(b"".join(record(key, value) for key, value in found.items())) == found


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"5 a=b",
        b"99 a=b\n",
        b"7 a=b\n",
        b"0 a=b\n",
        b" a=b\n",
        b"-6 a=b\n",
        b"5 ab\n",
        b"6 =ab\n",
        b"6 a=b\n\0",
        b"1" * 30,
        b"9" * 30 + b" a=b\n",  # no space where one could be: was taken for a record that ends where it begins
        b"3 =\n" + b"9" * 30 + b"\n",
    ],
)
def test_bad_records(data: bytes) -> None:
    """A record with a wrong length or without a name is refused."""
    with pytest.raises(ValueError, match="a PAX header has"):
        pax.records(data)


def test_last_record_counts() -> None:
    """Of two records with one key the last counts."""
    assert pax.records(b"6 a=1\n6 a=2\n") == {b"a": b"2"}


def test_xattrs() -> None:
    """Attributes come out sorted; those of our overlay, of our store and of the other machine are left out."""
    names = [b"user.z", b"user.a", b"user.overlay.opaque", b"user.pybuild.owner", b"trusted.overlay.opaque",
             b"user.fuseoverlayfs.opaque", b"security.capability", b"security.selinux"]  # fmt: skip
    found = {b"SCHILY.xattr." + name: b"v" for name in names} | {b"path": b"x"}
    assert pax.xattrs_of(found) == (("security.capability", b"v"), ("user.a", b"v"), ("user.z", b"v"))


@pytest.mark.parametrize("name", [b"", b"user.a\0b"])
def test_bad_xattr_name(name: bytes) -> None:
    """An attribute whose name no call could take is refused."""
    with pytest.raises(ValueError, match="extended attribute"):
        pax.xattrs_of({b"SCHILY.xattr." + name: b""})


@pytest.mark.parametrize("value", [-1, 0xFFFF_FFFF, 1 << 40])
def test_identity(value: int) -> None:
    """The id that means "do not change" to chown is no owner, nor is a negative one or one beyond 32 bits."""
    with pytest.raises(ValueError, match="is not a user id"):
        pax.identity(value, "user id")
