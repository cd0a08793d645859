"""What a server that refuses us wants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.oci.challenge import Challenge, read_challenges, scopes_of

BEARER = Challenge("bearer", "https://auth/token", "reg", ("repository:app:pull",))


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ('Bearer realm="https://auth/token",service="reg",scope="repository:app:pull"', (BEARER,)),
        ('bearer  realm = "https://auth/token" , service=reg, scope="repository:app:pull"', (BEARER,)),
        ('Basic realm="x, y"', (Challenge("basic", "x, y"),)),
        ('Basic realm="a \\"b\\""', (Challenge("basic", 'a "b"'),)),
        ("Basic", (Challenge("basic"),)),
        ('Negotiate, Basic realm="r"', (Challenge("negotiate"), Challenge("basic", "r"))),
        ('Basic realm="r", Bearer realm="t"', (Challenge("basic", "r"), Challenge("bearer", "t"))),
        ('Bearer realm="t",realm="other"', (Challenge("bearer", "t"),)),
        ("", ()),
        ('realm="nobody\'s"', ()),
    ],
)
def test_challenges_are_read_in_their_order(header: str, challenges: tuple[Challenge, ...]) -> None:
    """Several may stand in one header; case and spaces mean nothing, and of two parameters the first counts."""
    assert read_challenges(header) == challenges


@given(st.text())
def test_any_header_can_be_read(header: str) -> None:
    """Nonsense gives challenges that nobody knows, or none."""
    read_challenges(header)


def test_a_challenge_may_want_several_scopes() -> None:
    """They are separated by spaces."""
    (challenge,) = read_challenges('Bearer realm="t",scope="repository:a:pull repository:b:push,pull"')
    assert challenge.scopes == ("repository:a:pull", "repository:b:push,pull")


@pytest.mark.parametrize(
    ("wanted", "scopes"),
    [
        (("repository:a:pull", "repository:a:pull"), ("repository:a:pull",)),
        (("repository:a:pull", "repository:a:push,pull"), ("repository:a:pull,push",)),
        (("repository:a:pull,push", "repository:b:pull"), ("repository:a:pull,push", "repository:b:pull")),
        (("repository:host:5000/a:pull",), ("repository:host:5000/a:pull",)),
        (("nonsense",), ()),
    ],
)
def test_scopes_for_one_resource_are_one(wanted: tuple[str, ...], scopes: tuple[str, ...]) -> None:
    """What we want and what the challenge wants is asked for together."""
    assert scopes_of(wanted) == scopes
