"""EXPOSE's words: a port, a range, a protocol. Pure. Source: the Dockerfile reference, EXPOSE; BuildKit's frontend."""

from __future__ import annotations

from builder.errors import BuildfileError
from builder.pattern import pattern
from builder.source import Span

_PORT = pattern(r"0*(?P<first>[0-9]{1,5})(?:-0*(?P<last>[0-9]{1,5}))?(?:/(?P<protocol>[A-Za-z]*))?\Z")
_HOST_PORT = pattern(r"(?:0*[0-9]{1,5}(?:-0*[0-9]{1,5})?)?\Z")
_PROTOCOLS = ("tcp", "udp", "sctp")


def parse_ports(text: str, span: Span) -> list[str]:
    """The ports that one word of EXPOSE names, each as `port/protocol`. Raises BuildfileError at `span`."""
    # `ip:host:container` is accepted as docker does: only the container's part says anything to an image.
    *outside, inside = text.rsplit(":", 2)
    match = _PORT.match(inside)
    if match is None or not all(_HOST_PORT.match(part) for part in outside[-1:]):
        raise BuildfileError(
            f"EXPOSE: invalid port {text[:100]!r}",
            span=span,
            hint="write a port or a range, with or without a protocol: 80, 8000-8010/tcp, 53/udp",
        )
    protocol = (match["protocol"] or "tcp").lower()
    first, last = int(match["first"]), int(match["last"] or match["first"])
    if protocol not in _PROTOCOLS:
        raise BuildfileError(
            f"EXPOSE: invalid protocol {protocol!r} of port {text[:100]!r}", span=span, hint="use tcp, udp or sctp"
        )
    if not first <= last <= 65535:
        raise BuildfileError(f"EXPOSE: port {text[:100]!r} is not within 0 to 65535, lowest first", span=span)
    return [f"{port}/{protocol}" for port in range(first, last + 1)]
