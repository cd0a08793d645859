"""Patterns of hosts, and the addresses that no mere name leads to."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.values.hosts import HostPattern, HostRules, address_of, canonical, is_ordinary, unwrapped


def rules(*patterns: str) -> HostRules:
    return HostRules(tuple(map(HostPattern.parse, patterns)))


@pytest.mark.parametrize(
    ("pattern", "host", "port", "does"),
    [
        ("example.org", "example.org", 443, True),
        ("example.org", "www.example.org", 443, False),
        ("example.org", "example.org.evil.test", 443, False),
        ("Example.ORG.", "example.org", 80, True),
        ("example.org:443", "example.org", 443, True),
        ("example.org:443", "example.org", 80, False),
        ("*.example.org", "a.b.example.org", 80, True),
        ("*.example.org", "example.org", 80, False),
        ("*.example.org", "badexample.org", 80, False),
        ("*.example.org:80", "x.example.org", 81, False),
        ("10.0.0.1", "10.0.0.1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("::1", "::1", 1, True),
        ("[2001:DB8:0::1]", "2001:db8::1", 1, True),
        ("::ffff:10.0.0.1", "10.0.0.1", 1, True),
    ],
)
def test_what_a_pattern_matches(pattern: str, host: str, port: int, does: bool) -> None:
    """A host by its whole name, a domain by what is below it, an address in any spelling; a port where there is one."""
    assert HostPattern.parse(pattern).matches(host, port) is does


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "*.",
        "a b",
        "http://x",
        "x/y",
        "x:0",
        "x:65536",
        "x:y",
        "[::1",
        "::1]",
        "a..b",
        "*.*.x",
        "a*b",
        "127.1",
        "*.1",
        "0x7f.1",
        "2130706433",
        "127.0.0.01",
        "-x",
        "ä.de",
    ],
)
def test_what_is_no_pattern(text: str) -> None:
    """Anything else is refused, with words."""
    with pytest.raises(ValueError, match=r"\w"):
        HostPattern.parse(text)


@pytest.mark.parametrize("text", ["example.org", "*.example.org:8443", "127.0.0.1:5000", "[::1]:80", "localhost"])
def test_a_pattern_is_written_as_it_is_read(text: str) -> None:
    """What a pattern says of itself is a pattern again."""
    assert str(HostPattern.parse(text)) == text


@given(st.text(max_size=40))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    """Nothing but ValueError comes of any text."""
    try:
        assert HostPattern.parse(str(HostPattern.parse(text))) == HostPattern.parse(text)
    except ValueError:
        pass


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "169.254.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "::127.0.0.1",
        "::ffff:0:7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_addresses_that_are_not_ordinary(text: str) -> None:
    """This machine, its links, metadata services, and nobody in particular; also inside IPv6."""
    assert not is_ordinary(unwrapped(ip_address(text)))


@pytest.mark.parametrize("text", ["10.1.2.3", "192.168.0.1", "93.184.216.34", "2001:db8::1", "fd00::1", "100.64.0.1"])
def test_addresses_that_are(text: str) -> None:
    """Private networks hold mirrors: they are ordinary."""
    assert is_ordinary(unwrapped(ip_address(text)))


def test_without_patterns_names_are_free() -> None:
    """Every name may be asked for, and lead to ordinary addresses alone."""
    assert rules().admits("anything.test", 443)
    assert rules().admits_address(ip_address("10.0.0.1"), 443)
    assert not rules().admits_address(ip_address("127.0.0.1"), 443)


def test_a_name_does_not_open_the_loopback() -> None:
    """A pattern for a name says nothing of this machine's addresses, even where the name leads there."""
    named = rules("evil.test", "*.evil.test")
    assert named.admits("evil.test", 80) and not named.admits_address(ip_address("127.0.0.1"), 80)
    both = rules("mirror.test", "127.0.0.1:80")
    assert both.admits_address(ip_address("127.0.0.1"), 80) and not both.admits_address(ip_address("127.0.0.1"), 81)


def test_localhost_means_the_loopback() -> None:
    """The one name that stands for addresses."""
    assert all(rules("localhost").admits_address(ip_address(one), 80) for one in ("127.0.0.1", "::1"))
    assert not rules("localhost").admits_address(ip_address("169.254.169.254"), 80)


def test_hosts_are_compared_in_one_spelling() -> None:
    """Case, a last dot, brackets and the forms of an address do not count."""
    assert canonical("EXAMPLE.org.") == "example.org" and canonical("[0:0::1]") == "::1"
    assert canonical("::FFFF:127.0.0.1") == "127.0.0.1" and address_of("127.1") is None
