"""Bytes both ways between two sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from builder.kernel.tunnel import Tunnel


class Joined:
    """Two pairs of sockets with a tunnel between their inner ends, on a thread of its own."""

    def __init__(self, first: bytes = b"", idle_s: float = 10.0) -> None:
        self.one, self._inner = socket.socketpair()
        self._other, self.far = socket.socketpair()
        self.tunnel = Tunnel(self._inner, self._other, first)
        self.thread = threading.Thread(target=self.tunnel.run, args=(idle_s,), daemon=True)
        self.thread.start()
        for end in (self.one, self.far):
            end.settimeout(10)

    def close(self) -> None:
        for end in (self.one, self._inner, self._other, self.far):
            end.close()


@pytest.fixture
def joined() -> Iterator[Joined]:
    made = Joined(b"first ")
    yield made
    made.close()


def all_of(end: socket.socket) -> bytes:
    return b"".join(iter(lambda: end.recv(1 << 16), b""))


def test_both_ways(joined: Joined) -> None:
    """What one says the other hears, until each has said all; what was read before comes first. All is counted."""
    joined.one.sendall(b"ping")
    joined.one.shutdown(socket.SHUT_WR)
    assert all_of(joined.far) == b"first ping"
    joined.far.sendall(b"pong!")
    joined.far.shutdown(socket.SHUT_WR)
    assert all_of(joined.one) == b"pong!"
    joined.thread.join(10)
    assert (joined.tunnel.sent_bytes, joined.tunnel.received_bytes) == (10, 5)


def test_more_than_any_buffer(joined: Joined) -> None:
    """Much data comes through whole, both ways at once."""
    data = bytes(range(256)) * (1 << 14)
    senders = [threading.Thread(target=end.sendall, args=(data,)) for end in (joined.one, joined.far)]
    for sender in senders:
        sender.start()
    heard: list[bytes] = []

    def hear(end: socket.socket, count: int) -> None:
        got = bytearray()
        while len(got) < count:
            got += end.recv(1 << 16)
        heard.append(bytes(got))

    hearers = [
        threading.Thread(target=hear, args=(joined.far, len(data) + 6)),
        threading.Thread(target=hear, args=(joined.one, len(data))),
    ]
    for hearer in hearers:
        hearer.start()
    for thread in (*hearers, *senders):
        thread.join(30)
    assert sorted(heard, key=len) == [data, b"first " + data]


def test_silence_ends_it() -> None:
    """Where nothing comes for too long it is over."""
    quiet = Joined(idle_s=0.1)
    quiet.thread.join(10)
    assert not quiet.thread.is_alive()
    quiet.close()


def test_a_broken_end(joined: Joined) -> None:
    """Who is gone ends it for the other too."""
    joined.far.close()
    joined.one.sendall(b"x" * 100)
    joined.one.close()
    joined.thread.join(10)
    assert not joined.thread.is_alive()
