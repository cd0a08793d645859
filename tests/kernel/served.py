"""Servers on the loopback for tests of the step's proxy, and the proxy with a listener that needs no namespace."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from builder.kernel.dial import Dialler
from builder.kernel.proxy import StepProxy
from builder.values.contact import Contact
from builder.values.hosts import HostPattern, HostRules

Answer = Callable[[socket.socket], None]


@contextlib.contextmanager
def server(answer: Answer, host: str = "127.0.0.1") -> Iterator[int]:
    """A server that has a thread answer each connection; its port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:

        def serve(taken: socket.socket) -> None:
            with taken, contextlib.suppress(OSError):
                taken.settimeout(10)
                answer(taken)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def read_head(end: socket.socket) -> bytes:
    """A head, byte by byte, so that nothing after it is lost."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = end.recv(1)
        if not byte:
            break
        data += byte
    return data


def answering(body: bytes, *fields: str, status: str = "200 OK") -> Answer:
    """Answers a request with this, and hangs up."""

    def answer(end: socket.socket) -> None:
        read_head(end)
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
        end.sendall("\r\n".join(lines).encode() + body)

    return answer


@dataclass
class Step:
    """The step's side of a proxy: connections to it, and what was told and noted."""

    proxy: StepProxy
    address: tuple[str, int]
    told: list[Contact] = field(default_factory=list)
    ends: list[socket.socket] = field(default_factory=list)

    def connect(self) -> socket.socket:
        end = socket.create_connection(self.address, 10)
        end.settimeout(10)
        self.ends.append(end)
        return end

    def say(self, data: bytes | str) -> bytes:
        """All that comes back for this, to the end of the connection."""
        end = self.connect()
        end.sendall(data.encode() if isinstance(data, str) else data)
        return rest_of(end)

    def get(self, url: str, *fields: str) -> bytes:
        """The whole answer to a GET."""
        return self.say("\r\n".join([f"GET {url} HTTP/1.1", "Connection: close", *fields, "", ""]))


def rest_of(end: socket.socket) -> bytes:
    """What comes until the other side hangs up."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := end.recv(1 << 16):
            data += piece
    return data


@contextlib.contextmanager
def proxied(*patterns: str, route: Callable[[str, str, int], str] = lambda *_: "") -> Iterator[Step]:
    """A proxy by these patterns with a listener on the loopback, as a step would have passed it out."""
    told: list[Contact] = []
    rules = HostRules(tuple(map(HostPattern.parse, patterns)))
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    with listener, StepProxy(Dialler(rules, route), told.append) as proxy:
        with socket.socket(fileno=os.dup(proxy.fd)) as passing:
            socket.send_fds(passing, [b"!"], [listener.fileno()])
        step = Step(proxy, listener.getsockname(), told)
        try:
            yield step
        finally:
            for end in step.ends:
                end.close()
