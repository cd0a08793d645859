"""What a request sends."""

from __future__ import annotations

import io

import pytest

from builder.oci.body import Body, Outgoing, Repeat, may_repeat


def never() -> None:
    """There is always time."""


def test_a_body_can_be_opened_again() -> None:
    """Each attempt gets it from its beginning."""
    body = Body.of(b"abc")
    assert [body.open().read(), body.open().read()] == [b"abc", b"abc"]
    assert body.size == 3


def test_no_more_than_was_announced_is_sent() -> None:
    """A file that has grown does not spoil the connection."""
    assert b"".join(Outgoing(io.BytesIO(b"abcdef"), 4, never)) == b"abcd"


def test_a_body_that_ends_early_is_an_error() -> None:
    """The server would wait for the rest."""
    with pytest.raises(EOFError, match="3 bytes shorter"):
        list(Outgoing(io.BytesIO(b"abc"), 6, never))


def test_a_body_ends_when_there_is_no_time_left() -> None:
    """With the error that says so."""
    with pytest.raises(TimeoutError, match="over"):
        list(Outgoing(io.BytesIO(b"abc"), 3, lambda: TimeoutError("over")))


@pytest.mark.parametrize(
    ("method", "repeat", "allowed"),
    [
        ("GET", Repeat.AS_METHOD, True),
        ("PUT", Repeat.AS_METHOD, True),
        ("POST", Repeat.AS_METHOD, False),
        ("PATCH", Repeat.AS_METHOD, False),
        ("POST", Repeat.ALWAYS, True),
        ("PUT", Repeat.NEVER, False),
    ],
)
def test_what_may_be_sent_twice(method: str, repeat: Repeat, allowed: bool) -> None:
    """What HTTP calls idempotent, unless whoever sends it knows better."""
    assert may_repeat(method, Body.of(b"", repeat)) is allowed
