"""Contacts of steps."""

from __future__ import annotations

from builder.values.contact import Contact


def test_the_same_is_counted_together() -> None:
    """What was asked for twice is one contact with both counts."""
    one = Contact("GET", "h", 80, "/x", sent_bytes=1, received_bytes=10)
    assert one.plus(one) == Contact("GET", "h", 80, "/x", sent_bytes=2, received_bytes=20, count=2)
    assert one.key == one.plus(one).key != Contact("GET", "h", 80, "/y").key


def test_how_a_target_is_written() -> None:
    """Host, port and path; IPv6 in brackets."""
    assert Contact("GET", "h", 80, "/x").target == "h:80/x"
    assert Contact("CONNECT", "::1", 443).target == "[::1]:443"
