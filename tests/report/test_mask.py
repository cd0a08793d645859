"""Hiding secrets."""

from __future__ import annotations

from builder.report.mask import NOTHING, Mask


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
