"""An HTTP server on loopback that does exactly what a test tells it to, well or badly."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from builder.oci.transport import Patience
from tests.oci.images import Sample

QUICK = Patience(connect_s=2, read_s=1, attempts=3, back_off_s=0.01, longest_wait_s=0.05, blob_s=1.5, slowest=1 << 24)
"""A client that loses patience soon, so that the tests end soon."""

Answer = Callable[["Exchange"], None]


class Exchange:
    """One request and the means to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self._handler = handler
        self.method = handler.command
        self.path = handler.path
        self.headers = handler.headers

    def read(self) -> bytes:
        """The request's body, whole; chunks are taken apart."""
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            parts = []
            while size := int(self._handler.rfile.readline(), 16):
                parts.append(self._handler.rfile.read(size))
                self._handler.rfile.readline()
            return b"".join(parts)
        return self._handler.rfile.read(int(self.headers.get("Content-Length") or 0))

    def read_some(self, count: int) -> bytes:
        """No more than `count` bytes of a body that is not in chunks."""
        return self._handler.rfile.read(min(count, int(self.headers.get("Content-Length") or 0)))

    def send(self, status: int, body: bytes = b"", **headers: str | int) -> None:
        """Answer whole; `headers` are spelt with underscores. A Content-Length can be lied about."""
        self.begin(status, **{"Content_Length": len(body), **headers})
        self.write(body)

    def begin(self, status: int, **headers: str | int) -> None:
        """Send the head of an answer."""
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name.replace("_", "-"), str(value))
        self._handler.end_headers()

    def write(self, data: bytes) -> bool:
        """Send some of the body (none of it to a HEAD); False when the client has gone."""
        if self.method == "HEAD":
            return False
        try:
            self._handler.wfile.write(data)
            self._handler.wfile.flush()
            return True
        except OSError:
            return False

    def hang_up(self) -> None:
        """Close the connection here and now."""
        self._handler.close_connection = True


class Rogue:
    """The server: `routes` maps paths (without query), or `METHOD path`, to answers; `requests` are (path,
    Authorization) as they came, `methods` theirs.
    """

    def __init__(self, address: str, scheme: str = "http") -> None:
        self.address = address
        self.url = f"{scheme}://{address}"
        self.routes: dict[str, Answer] = {}
        self.requests: list[tuple[str, str]] = []
        self.methods: list[str] = []

    def serve(self, repository: str, sample: Sample, tag: str = "1") -> None:
        """Answer well for an image."""
        prefix = f"/v2/{repository}"
        manifest = sample.image.manifest
        data = sample.blobs[manifest.digest]
        for name in (tag, str(manifest.digest)):
            self.routes[f"{prefix}/manifests/{name}"] = document(data, manifest.media_type)
        for digest, blob in sample.blobs.items():
            self.routes[f"{prefix}/blobs/{digest}"] = body(blob)

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(asked.partition("?")[0] == path for asked, _ in self.requests)


def body(data: bytes) -> Answer:
    """The whole of `data`, whatever part was asked for."""
    return lambda exchange: exchange.send(200, data)


def document(data: bytes, media_type: str) -> Answer:
    """A document with its type."""
    return lambda exchange: exchange.send(200, data, Content_Type=media_type)


def json_answer(value: object, media_type: str = "application/json") -> Answer:
    """A value as JSON."""
    return document(json.dumps(value).encode(), media_type)


def redirect(location: str) -> Answer:
    """A redirect."""
    return lambda exchange: exchange.send(307, Location=location)


def in_turn(*answers: Answer) -> Answer:
    """One answer after the other; the last one stays."""
    left = list(answers)

    def answer(exchange: Exchange) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(exchange)

    return answer


def status(number: int, **headers: str | int) -> Answer:
    """A bare status."""
    return lambda exchange: exchange.send(number, b"", **headers)


def cut_after(data: bytes, count: int) -> Answer:
    """Announce all of `data`, send `count` bytes and hang up."""

    def answer(exchange: Exchange) -> None:
        exchange.begin(200, Content_Length=len(data))
        exchange.write(data[:count])
        exchange.hang_up()

    return answer


def ranges(data: bytes) -> Answer:
    """`data`, or the part from where the Range header says."""

    def answer(exchange: Exchange) -> None:
        start = int((exchange.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if start:
            exchange.send(206, data[start:], Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            exchange.send(200, data)

    return answer


def endless(exchange: Exchange) -> None:
    """A body that never ends."""
    exchange.begin(200)
    while exchange.write(bytes(1 << 16)):
        pass


def trickle(exchange: Exchange) -> None:
    """A byte now and then, for a minute at the most."""
    exchange.begin(200)
    for _ in range(600):
        if not exchange.write(b"x"):
            return
        time.sleep(0.1)


def silent(_: Exchange) -> None:
    """No answer at all for a while."""
    time.sleep(4)


@contextmanager
def running_rogue(port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Rogue]:
    """Run the server in threads of this process, by https where it is given a context."""
    rogues: list[Rogue] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            rogue, path = rogues[0], self.path.partition("?")[0]
            rogue.requests.append((self.path, self.headers.get("Authorization", "")))
            rogue.methods.append(self.command)
            answer = rogue.routes.get(f"{self.command} {path}") or rogue.routes.get(path, status(404))
            answer(Exchange(self))

        do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    class Server(ThreadingHTTPServer):
        def finish_request(self, request: Any, client_address: Any) -> None:
            # Here and not in accept: a handshake that hangs or fails is then one thread's affair.
            if tls is None:
                return super().finish_request(request, client_address)
            try:
                with tls.wrap_socket(request, server_side=True) as wrapped:
                    super().finish_request(wrapped, client_address)
            except OSError:
                return None

        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that go in the middle are what these tests are about."""

    server = Server(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    rogues.append(Rogue(f"127.0.0.1:{server.server_address[1]}", "https" if tls else "http"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield rogues[0]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
