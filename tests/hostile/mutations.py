"""Inputs that are nearly right: a good one with pieces cut, doubled, swapped, overwritten or put in."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

_INTERESTING = (
    *(
        b"",
        b"\0",
        b"\n",
        b" ",
        b"\xff",
        b"..",
        b"/",
        b"\\",
        b'"',
        b"'",
        b"$",
        b"${",
        b"}",
        b"{",
        b"[",
        b"]",
        b"*",
        b"**",
    ),
    *(b"**", b"!", b"#", b"=", b":", b"@", b"-", b"--", b"<<A", b"1e999", b"-1", b"9" * 40, b"null", b"\xe2\x80\xae"),
    *(b"\x1b[2J", b"sha256:", b"%s%n", b"\r\n", b"A" * 300, b"[" * 50, b"{}" * 20),
)
_HOWS = ("put", "over", "cut", "double", "swap", "bit")

Change = tuple[str, int, int, bytes]


def changes() -> st.SearchStrategy[list[Change]]:
    """A few changes, each how, where, how long, and with what."""
    piece = st.sampled_from(_INTERESTING) | st.binary(max_size=8)
    place = st.integers(0, 1 << 20)
    return st.lists(st.tuples(st.sampled_from(_HOWS), place, st.integers(0, 600), piece), max_size=6)


def changed(data: bytes, wanted: Sequence[Change]) -> bytes:
    """The data with the changes made one after the other."""
    for how, place, length, piece in wanted:
        at = place % (len(data) + 1)
        rest = data[at + length :]
        if how == "put":
            data = data[:at] + piece + data[at:]
        elif how == "over":
            data = data[:at] + piece + data[at + len(piece) :]
        elif how == "cut":
            data = data[:at] + rest
        elif how == "double":
            data = data[: at + length] + data[at : at + length] + rest
        elif how == "swap":
            data = data[:at] + rest[:length] + data[at : at + length] + rest[length:]
        elif at < len(data):
            data = data[:at] + bytes([data[at] ^ (1 << length % 8)]) + data[at + 1 :]
    return data
