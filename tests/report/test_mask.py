"""Hiding secrets."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.report.mask import NOTHING, Mask
from builder.values.traces import shown_forms


def test_a_secret_is_hidden_wherever_it_stands() -> None:
    """Every occurrence of a value is replaced."""
    mask = Mask([b"hunter2hunter2"])
    assert mask.bytes(b"x hunter2hunter2 y=hunter2hunter2") == b"x *** y=***"
    assert mask.text("token: hunter2hunter2\n") == "token: ***\n"


def test_the_line_end_of_a_secret_file_does_not_matter() -> None:
    """A file's last line end is no part of what is looked for."""
    assert Mask([b"s3cret-value\n"]).text("is s3cret-value!") == "is ***!"


def test_lines_of_a_secret_are_hidden_one_by_one() -> None:
    """A key of several lines is hidden though it is shown a line at a time; its short lines are not."""
    mask = Mask([b"{\nfirst-line\nsecond-line\n}"])
    assert mask.text("{ second-line }") == "{ *** }"


def test_the_longer_of_two_secrets_wins() -> None:
    """Where one value begins with another, nothing of the longer one is left."""
    assert Mask([b"abcd", b"abcdefgh"]).text("abcdefgh abcd") == "*** ***"


def test_special_characters_are_meant_as_they_are() -> None:
    """A value is text, not a pattern, and it may be no UTF-8."""
    assert Mask([b"a.*b", b"\xff\xfe\xfd\xfc"]).bytes(b"axxb a.*b \xff\xfe\xfd\xfc") == b"axxb *** ***"


def test_without_secrets_nothing_changes() -> None:
    """An empty mask, or one of empty values, leaves everything as it is."""
    assert NOTHING.text("text") == "text"
    assert Mask([b"", b"\n"]).bytes(b"text") == b"text"


@pytest.mark.parametrize(
    "encode", [base64.b64encode, base64.urlsafe_b64encode, bytes.hex, quote, quote_plus, json.dumps]
)
def test_an_encoded_secret_is_hidden(encode: Callable[[str | bytes], str | bytes]) -> None:
    """Nothing of it is left in any form that tools print."""
    value = 'p@ss "word"/9?~>ÿ'
    shown = encode(value if encode is json.dumps else value.encode())
    text = shown.decode() if isinstance(shown, bytes) else shown
    masked = Mask([value.encode()]).text(f"a {text} b")
    assert "***" in masked
    assert len(masked) < 14


def test_of_secrets_that_overlap_nothing_is_left() -> None:
    """One that begins within another, found first, does not leave the other's end in sight."""
    assert Mask([b"abcdef", b"efghij"]).text("x abcdefghij y") == "x *** y"
    assert Mask([rb"00\n0000"]).text(r"00000\n0000") == "***"


def test_an_escape_sequence_hides_nothing_from_the_mask() -> None:
    """Not where a line of the secret is found before its whole is put together, nor at the ends of the line."""
    mask = Mask([rb"00\n0000", b"s3cret-value"])
    assert mask.shown("0\x1b[01;31m\x1b[K0\\n0000\x1b[m.") == "***."
    assert mask.shown("\x1b[ms3cret\x1b[m\x1b[m-value\x1b[m \x1b[31mok") == "*** ok"
    assert mask.shown("\x1b[31mbell\x07") == r"bell\x07"


words = st.binary(min_size=4, max_size=9).map(lambda word: bytes(b"ab\n\\0'"[byte % 6] for byte in word))


@given(st.lists(words, min_size=1, max_size=3), st.lists(words, max_size=12), st.integers(0, 12))
def test_whatever_overlaps_is_hidden_whole(secrets: list[bytes], text: list[bytes], at: int) -> None:
    """Each byte in any place where a hidden form stands is gone, and no other."""
    data = b"".join([*text[:at], secrets[0], *text[at:]])
    forms = {form for secret in secrets for form in shown_forms(secret)}
    hidden: set[int] = set()
    for form in forms:
        starts = (start for start in range(len(data)) if data.startswith(form, start))
        hidden.update(place for start in starts for place in range(start, start + len(form)))
    kept = bytes(byte for place, byte in enumerate(data) if place not in hidden)
    assert Mask(secrets).bytes(data).replace(b"***", b"") == kept


def test_a_key_of_thousands_of_lines_costs_little() -> None:
    """The pattern is tried by first bytes, not line by line."""
    lines = [base64.b64encode(bytes([number % 256, number // 256]) * 24) for number in range(5000)]
    mask = Mask([b"\n".join(lines)])
    began = time.monotonic()
    assert mask.bytes(b"ordinary output of a step\n" * 4000).count(b"***") == 0
    assert time.monotonic() - began < 2
    assert mask.bytes(lines[4711]) == b"***"


def test_a_cut_goes_around_a_secret() -> None:
    """Who cuts a long line cuts before or after it."""
    mask = Mask([b"s3cret-value"])
    assert mask.cut(b"0123456789", 5) == 5
    assert mask.cut(b"01 s3cret-value 2345", 8) == 15
    assert mask.cut(b"01 s3cret-value 2345", 3) == 3
    assert mask.longest_bytes >= len("s3cret-value")
