"""A registry that misbehaves: raw sockets, so that not even HTTP has to be spoken rightly."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from builder.values.digest import Digest
from tests.oci.images import Sample

_HEAD_LIMIT = 1 << 16
_TLS = b"\x16"  # the first byte of a TLS handshake, to which this server hangs up


@dataclass
class Call:
    """One request: what was asked, and the connection to answer on."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    connection: socket.socket
    rest: bytes = b""  # what of the body came with the head

    def raw(self, data: bytes) -> bool:
        """Send bytes as they are; False when the client has gone."""
        try:
            self.connection.sendall(data)
            return True
        except OSError:
            return False

    def head(self, status: int, **headers: str | int) -> bool:
        """Send the head of an answer; `headers` are spelt with underscores."""
        lines = [f"HTTP/1.1 {status} Status", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return self.raw("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def answer(self, status: int, data: bytes = b"", **headers: str | int) -> None:
        """Send a whole answer; a Content-Length can be lied about."""
        self.head(status, **{"Content_Length": len(data), **headers})
        if self.method != "HEAD":
            self.raw(data)

    def read_body(self, count: int | None = None) -> bytes:
        """The body by its Content-Length, or the first `count` bytes of it."""
        length = int(self.headers.get("content-length", "0"))
        wanted = length if count is None else min(count, length)
        data = self.rest
        while len(data) < wanted:
            piece = self.connection.recv(min(1 << 16, wanted - len(data)))
            if not piece:
                break
            data += piece
        return data

    def abort(self) -> None:
        """Reset the connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()


Answer = Callable[[Call], None]


@dataclass
class Server:
    """`routes` are answers by `METHOD PATH`, or by `PATH` for any method; a path may end with `*`."""

    address: str
    routes: dict[str, Answer] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.address}"

    def serve(self, sample: Sample, repository: str = "app", tag: str = "1") -> None:
        """Answer well for an image."""
        point = sample.image.manifest
        for name in (tag, str(point.digest)):
            self.routes[f"/v2/{repository}/manifests/{name}"] = document(sample.blobs[point.digest], point.media_type)
        for digest, data in sample.blobs.items():
            self.routes[f"/v2/{repository}/blobs/{digest}"] = content(data)

    def find(self, call: Call) -> Answer:
        """The answer to a request; 404 where none was given."""
        for key in (f"{call.method} {call.path}", call.path):
            if key in self.routes:
                return self.routes[key]
        for key, answer in self.routes.items():
            method, _, path = key.rpartition(" ")
            if path.endswith("*") and call.path.startswith(path[:-1]) and method in ("", call.method):
                return answer
        return status(404)

    def count(self, method: str, path: str) -> int:
        """How often it was asked for."""
        return sum((call.method, call.path) == (method, path) for call in self.calls)


def blob(digest: Digest | str) -> str:
    """The path of a blob of `app`."""
    return f"/v2/app/blobs/{digest}"


MANIFEST = "/v2/app/manifests/1"


def content(data: bytes) -> Answer:
    """Bytes, whole."""
    return lambda call: call.answer(200, data, Content_Type="application/octet-stream")


def document(data: bytes, media_type: str) -> Answer:
    """A document with its type and digest."""
    return lambda call: call.answer(200, data, Content_Type=media_type, Docker_Content_Digest=str(Digest.of(data)))


def json_document(value: object, media_type: str) -> Answer:
    """A value as a document."""
    return document(json.dumps(value).encode(), media_type)


def status(number: int, data: bytes = b"", **headers: str | int) -> Answer:
    """A status."""
    return lambda call: call.answer(number, data, **headers)


def raw(data: bytes) -> Answer:
    """Bytes in the place of an answer."""
    return lambda call: _ignore(call.raw(data))


def _ignore(_: bool) -> None:
    """Whether the client has gone does not matter."""


def in_turn(*answers: Answer) -> Answer:
    """One after the other; the last one stays."""
    left = list(answers)

    def answer(call: Call) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(call)

    return answer


def cut(data: bytes, count: int) -> Answer:
    """Announce all, send some."""

    def answer(call: Call) -> None:
        call.head(200, Content_Length=len(data))
        call.raw(data[:count])

    return answer


def endless(call: Call) -> None:
    """A body without an end and without a length."""
    call.head(200)
    while call.raw(bytes(1 << 16)):
        pass


def hang_up(_: Call) -> None:
    """Nothing at all, and the connection is closed."""


@contextmanager
def running_server() -> Iterator[Server]:
    """Run it in threads of this process; whatever still hangs then ends with the tests."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(f"127.0.0.1:{listener.getsockname()[1]}")
    closing = threading.Event()

    def accept() -> None:
        while not closing.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_converse, args=(server, connection), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        closing.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _converse(server: Server, connection: socket.socket) -> None:
    with connection:
        try:
            connection.settimeout(20)
            call = _read_call(connection)
            if call is not None:
                server.calls.append(call)
                server.find(call)(call)
        except OSError:
            pass


def _read_call(connection: socket.socket) -> Call | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(4096)
        if not piece or len(data) > _HEAD_LIMIT or (data or piece)[:1] == _TLS:
            return None
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    path, _, query = target.partition("?")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Call(method, path, query, headers, connection, rest)
