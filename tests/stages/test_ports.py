"""Tests of EXPOSE's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import BuildfileError
from builder.stages.ports import parse_ports
from tests.stages.plans import SPAN


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", ["80/tcp"]),
        ("53/udp", ["53/udp"]),
        ("53/UDP", ["53/udp"]),
        ("9/sctp", ["9/sctp"]),
        ("80/", ["80/tcp"]),
        ("0", ["0/tcp"]),
        ("0080", ["80/tcp"]),
        ("0000080", ["80/tcp"]),
        ("65535", ["65535/tcp"]),
        ("8000-8002/udp", ["8000/udp", "8001/udp", "8002/udp"]),
        ("7-7", ["7/tcp"]),
        ("8080:80", ["80/tcp"]),
        (":80", ["80/tcp"]),
        ("127.0.0.1:8080:80/udp", ["80/udp"]),
        ("127.0.0.1::80", ["80/tcp"]),
        ("[::1]:8080:80", ["80/tcp"]),
    ],
)
def test_ports(text: str, ports: list[str]) -> None:
    """A port, a range, a protocol in any case; of `ip:host:container` only the container's part."""
    assert parse_ports(text, SPAN) == ports


@pytest.mark.parametrize(
    "text",
    [
        "",
        "eighty",
        "-1",
        "65536",
        "80-79",
        "80/http",
        "80/tcp/udp",
        "1-2-3",
        "80-",
        "-80",
        "８０",
        "a:80",
        "80 ",
        "80\n",
    ],
)
def test_what_is_no_port(text: str) -> None:
    """Anything else is refused at the instruction's place."""
    with pytest.raises(BuildfileError) as caught:
        parse_ports(text, SPAN)
    assert caught.value.span == SPAN
    assert "EXPOSE" in caught.value.message


@given(st.integers(0, 65535), st.integers(0, 30))
def test_a_range_is_all_its_ports(first: int, more: int) -> None:
    """A range is its ports one by one, lowest first."""
    last = min(first + more, 65535)
    assert parse_ports(f"{first}-{last}", SPAN) == [f"{port}/tcp" for port in range(first, last + 1)]


@given(st.text("0123456789-/:tcpudp.", max_size=12))
def test_any_text_is_ports_or_an_error(text: str) -> None:
    """No text does anything else."""
    try:
        assert parse_ports(text, SPAN)
    except BuildfileError:
        pass
