"""One connection of a step to its proxy: what is asked for on it, one request after the other, or a tunnel.

A request goes on to its server on a connection of its own, so that each is seen and judged. What ends badly before an
answer began is answered with a status and a line of plain text; after that the connection is only closed.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from builder.declare import dataclass, replace
from builder.kernel.dial import Dialled, Dialler, Refused, Unreachable
from builder.kernel.proxyhead import (
    HEAD_LIMIT_BYTES,
    BadMessage,
    Body,
    RequestHead,
    ResponseHead,
    body_of_request,
    body_of_response,
    read_request,
    read_response,
)
from builder.kernel.tunnel import Tunnel
from builder.values.contact import Contact

IDLE_S = 600.0
_HEAD_S = 30.0
_BUFFER_BYTES = 256 << 10
_MOST_INTERIM = 32
_MOST_LEFT_OVER = 64
_BARE = re.compile(rb"(?<!\r)\n")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_REASONS = {400: "Bad Request", 403: "Forbidden", 501: "Not Implemented", 502: "Bad Gateway"}

Held = Callable[[socket.socket], AbstractContextManager[socket.socket]]
"""Holds a socket so that the end of the step closes it. Raises OSError when the step is over."""


class _Stream:
    """A socket with what has been read of it and not been used; counts what comes."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self.count = 0
        self._kept = b""

    def head(self, patience_s: float) -> bytes:
        """The next head, with its empty line; nothing at the end of the stream. Raises BadMessage, OSError."""
        deadline = time.monotonic() + patience_s
        self._kept = self._kept.lstrip(b"\r\n")  # blank lines before a request are skipped (RFC 9112, 2.2)
        while not self._has_head():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.socket.settimeout(left)
            data = self._receive()
            if not data:
                if self._kept.strip():
                    raise BadMessage(400, "the message ends in its head")
                return b""
            self._kept = (self._kept + data).lstrip(b"\r\n")
        head, _, self._kept = self._kept.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def _has_head(self) -> bool:
        """Whether a head is there as a whole. Raises BadMessage for one too long, and for lines that end otherwise."""
        end = self._kept.find(b"\r\n\r\n")
        length = len(self._kept) if end < 0 else end
        if length > HEAD_LIMIT_BYTES:
            raise BadMessage(400, "the head of the message is too long")
        if _BARE.search(self._kept, 0, length):
            raise BadMessage(400, "the lines of a head end in CR LF")
        return end >= 0

    def some(self) -> bytes:
        """What comes next; nothing at the end."""
        return self.rest() or self._receive()

    def rest(self) -> bytes:
        """What has been read already."""
        data, self._kept = self._kept, b""
        return data

    def copy(self, body: Body, sink: socket.socket) -> int:
        """Pass a body on; how many bytes. Raises BadMessage when it ends too early, OSError."""
        total = 0
        while not body.ended:
            data = self.some()
            if not data and body.ends_with_connection:
                break
            if not data:
                raise BadMessage(502, "the body ends too early")
            count = body.take(data)
            self._kept = data[count:]
            sink.sendall(data[:count])
            total += count
        return total

    def _receive(self) -> bytes:
        data = self.socket.recv(_BUFFER_BYTES)
        self.count += len(data)
        return data


class Conversation:
    """What a step says on one connection. `note` is told of each contact when it is over; `asked` is not over yet."""

    def __init__(self, client: socket.socket, dialler: Dialler, note: Callable[[Contact], None], held: Held) -> None:
        self._client = _Stream(client)
        self._dialler = dialler
        self._tell = note
        self._held = held
        self.asked: Contact | None = None

    def run(self) -> None:
        """Serve until either side has had enough."""
        patience_s = _HEAD_S
        while self._serve_next(patience_s):
            patience_s = IDLE_S

    def _serve_next(self, patience_s: float) -> bool:
        """Serve a request. Returns whether there may be another."""
        try:
            data = self._client.head(patience_s)
            if not data:
                return False
            head = read_request(data)
        except BadMessage as error:
            self._refuse(error.status, str(error))
            return False
        except OSError:
            return False
        self._client.socket.settimeout(IDLE_S)
        return self._tunnel(head) if head.method == "CONNECT" else self._request(head)

    def _note(self, contact: Contact) -> None:
        self.asked = None
        self._tell(contact)

    def _refuse(self, status: int, text: str) -> None:
        body = f"pybuild: {text}\n".encode("utf-8", "replace")
        lines = [
            f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        with suppress(OSError):
            self._client.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            # What the step still sends would make the kernel throw the answer away (RFC 9112, 9.6).
            self._client.socket.shutdown(socket.SHUT_WR)
            self._client.socket.settimeout(1.0)
            for _ in range(_MOST_LEFT_OVER):
                if not self._client.some():
                    return

    def _tunnel(self, head: RequestHead) -> bool:
        contact = self.asked = Contact(head.method, head.host, head.port)
        try:
            server = self._dialler.tunnel(head.host, head.port)
        except (Refused, Unreachable) as error:
            self._turn_down(contact, error)
            return False
        tunnel = Tunnel(self._client.socket, server, self._client.rest())
        try:
            with self._held(server):
                self._client.socket.sendall(_ESTABLISHED)
                tunnel.run(IDLE_S)
        finally:
            self._note(replace(contact, sent_bytes=tunnel.sent_bytes, received_bytes=tunnel.received_bytes))
        return False

    def _turn_down(self, contact: Contact, error: Refused | Unreachable) -> None:
        asked = replace(contact, path="").target
        if isinstance(error, Refused):
            self._note(replace(contact, refusal=str(error)))
            self._refuse(403, f"{asked}: {error}")
        else:
            self._note(replace(contact, failure=str(error)))
            self._refuse(502, f"{asked}: {error}")

    def _request(self, head: RequestHead) -> bool:
        contact = self.asked = Contact(head.method, head.host, head.port, head.path)
        try:
            body = body_of_request(head)
            dialled = self._dialler.connect("http", head.host, head.port)
        except BadMessage as error:
            self._note(replace(contact, failure=str(error)))
            self._refuse(error.status, str(error))
            return False
        except (Refused, Unreachable) as error:
            self._turn_down(contact, error)
            return False
        with self._held(dialled.socket) as end:
            exchange = _Exchange(head, self._client, _Stream(end))
            try:
                return exchange.run(dialled, body)
            except (BadMessage, OSError) as error:
                failure = str(error) if isinstance(error, BadMessage) else error.strerror or "it took too long"
                contact = replace(contact, failure=failure)
                if not exchange.answered:
                    self._refuse(502, f"{contact.host}:{contact.port}: {failure}")
                return False
            finally:
                self._note(replace(contact, sent_bytes=exchange.sent_bytes, received_bytes=exchange.server.count))


@dataclass(slots=True)
class _Exchange:
    """A request on its way to its server, and the answer on its way back."""

    head: RequestHead
    client: _Stream
    server: _Stream
    sent_bytes: int = 0
    answered: bool = False  # something of the answer has been sent to the step

    def run(self, dialled: Dialled, body: Body) -> bool:
        """Carry both. Returns whether the client may ask again. Raises BadMessage, OSError."""
        self.server.socket.settimeout(IDLE_S)
        login = ((b"Proxy-Authorization", dialled.authorization),) if dialled.authorization else ()
        head = self.head.encoded(bool(dialled.proxy), login)
        self.server.socket.sendall(head)
        self.sent_bytes = len(head)
        if self.head.expects_more and not body.ended:
            self.client.socket.sendall(_CONTINUE)
        with suppress(BrokenPipeError, ConnectionResetError):
            # A server may answer, and hang up, before it has heard all: what it said then counts.
            self.sent_bytes += self.client.copy(body, self.server.socket)
        return self._answer(body.ended)

    def _answer(self, is_heard: bool) -> bool:
        answer = self._final()
        body = body_of_response(answer, self.head.method)
        again = is_heard and self.head.keeps and not body.ends_with_connection
        self.answered = True
        self.client.socket.sendall(answer.encoded(b"keep-alive" if again else b"close"))
        self.server.copy(body, self.client.socket)
        return again

    def _final(self) -> ResponseHead:
        """The answer proper; interim ones (1xx) end here."""
        for _ in range(_MOST_INTERIM):
            data = self.server.head(IDLE_S)
            if not data:
                raise BadMessage(502, "the server hangs up without an answer")
            answer = read_response(data)
            if answer.status >= 200:
                return answer
            if answer.status == 101:
                raise BadMessage(502, "the server changes the protocol, which nobody asked for")
        raise BadMessage(502, "the server does not come to its answer")
