"""Connections that rest: how many there may be."""

from __future__ import annotations

import ssl
from contextlib import ExitStack

from builder.oci.connections import Session, Way
from tests.oci.test_connections import counting_server


def test_only_the_last_servers_keep_their_connections() -> None:
    """A registry that sends us to another server each time does not use up our file descriptors."""
    session = Session(lambda _: ssl.create_default_context())
    with ExitStack() as stack:
        servers = [stack.enter_context(counting_server()) for _ in range(12)]
        for address, _ in (*servers, servers[-1], servers[0]):
            with session.request("GET", f"http://{address}/x", {}, None, Way(2, 2)) as answer:
                assert answer.content == b"{}"
        assert [len(connections) for _, connections in servers] == [2, *[1] * 11]
        session.close()
