"""EXPOSE's words: a port, a range, a protocol. Pure. Source: docker/go-connections nat, ParsePortSpec's grammar."""

from __future__ import annotations

import re

from builder.errors import BuildfileError
from builder.source import Span

_PORT = re.compile(r"(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?(?:/(?P<protocol>[A-Za-z]+))?\Z")
_PROTOCOLS = ("tcp", "udp", "sctp")


def parse_ports(text: str, span: Span) -> list[str]:
    """The ports that one word of EXPOSE names, each as `port/protocol`. Raises BuildfileError at `span`."""
    # `ip:host:container` is accepted as docker does: only the container's part says anything to an image.
    match = _PORT.match(text.rpartition(":")[2])
    if match is None:
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
    if not 1 <= first <= last <= 65535:
        raise BuildfileError(f"EXPOSE: port {text[:100]!r} is not within 1 to 65535, lowest first", span=span)
    return [f"{port}/{protocol}" for port in range(first, last + 1)]
