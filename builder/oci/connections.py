"""The connections behind `Http`: the standard library's, kept for the next request, with a TLS context for each server.

A request goes where `hosts.origin` says that its URL leads, and nowhere else. No environment is read, no cookie is
kept, nothing is followed, retried or decoded here. (decisions/0031)
"""

from __future__ import annotations

import base64
import http.client
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

from builder.declare import dataclass
from builder.oci.hosts import Origin, names_of, origin, proxy_origin

_MOST_IDLE = 16  # connections to one server
_MOST_SERVERS = 8  # with idle connections: a registry may send us to a new one each time
_GRACE_S = 0.5  # what comes at the last moment may be read
_USUAL = {"User-Agent": "pybuild", "Accept": "*/*", "Accept-Encoding": "identity"}
_KEPT = "!#$%&'()*+,/:;=?@[]~"  # of a path or query as it is; `%` too: what is quoted already stays so
ContextOf = Callable[[Origin], ssl.SSLContext]


class ProxyError(OSError):
    """A proxy could not be reached, or does not let us through. The cause says why."""


class NewConnectionError(OSError):
    """No connection came about. The cause says why."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a request gets there: how long a connection and then each answer may take (seconds), through which proxy."""

    connect_s: float
    read_s: float
    proxy: str = ""


class Answer:
    """What a server has answered; its body is read with `read1`. Used with `with`, or closed."""

    def __init__(self, url: str, raw: http.client.HTTPResponse, under_it: Any, done: Callable[[bool], None]) -> None:
        self.url = url
        self.status_code = raw.status
        self.headers = Headers(raw.getheaders())
        self._raw = raw
        self._under_it = under_it
        self._done: Callable[[bool], None] | None = done
        if raw.length == 0 and not raw.chunked:
            self._end()

    def read1(self, count: int) -> bytes:
        """Some of the body, as soon as there is any; b"" at its end. Raises OSError, HTTPException."""
        piece = self._raw.read1(count)
        if not piece or (self._raw.length == 0 and not self._raw.chunked):
            self._end()
        return piece

    @property
    def content(self) -> bytes:
        """All that is left of the body, however long. Raises OSError, HTTPException."""
        return b"".join(iter(lambda: self.read1(1 << 16), b""))

    def bounded(self, seconds: float) -> AbstractContextManager[object]:
        """While the body is read in this block: it ends for the reader when the time is over.

        One in chunks has sizes and trailers between its bytes, in a single read of which a server could keep us for
        ever. All other reads give what is there.
        """
        return _Fuse(self._under_it, seconds) if self._raw.chunked else nullcontext()

    def close(self) -> None:
        """Let go of the connection: it is used again where all of the body was read."""
        self._end()

    def _end(self) -> None:
        if self._done is not None:
            done, self._done = self._done, None
            whole = self._raw.isclosed() if self._raw.chunked else self._raw.length == 0
            self._raw.close()
            done(whole and not self._raw.will_close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Headers(Mapping[str, str]):
    """The headers of an answer by their names in any case; what comes several times is joined with commas."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            known = self._values.get(name.lower())
            self._values[name.lower()] = value if known is None else f"{known}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Session:
    """Connections to servers, each with its own TLS context; may be used from several threads."""

    def __init__(self, context_of: ContextOf) -> None:
        self._context_of = context_of
        self._idle: dict[tuple[Origin, str], list[_Connection]] = {}
        self._lock = threading.Lock()

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: Iterable[bytes] | None, way: Way
    ) -> Answer:
        """Send a request; the answer's body is not read yet. The caller says the body's length in `headers`.

        Raises OSError (ProxyError, NewConnectionError among them) and HTTPException for what goes wrong on the way,
        InvalidURL and UnicodeError for what no request can be made of, and what `body` raises.
        """
        server = origin(url)
        key = (server, way.proxy)
        connection = self._taken(key) or self._opened(server, way)
        try:
            connection.sock.settimeout(way.read_s)
            target = _target(url, whole=bool(way.proxy) and server[0] == "http")
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            _send(
                connection, {"Host": _host(server), **_USUAL, **connection.greeting, **_login_in(url), **headers}, body
            )
            under_it = connection.sock
            raw = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        return Answer(url, raw, under_it, lambda again: self._back(key, connection, again))

    def close(self) -> None:
        """Close all connections that nobody uses."""
        with self._lock:
            for connection in (each for idle in self._idle.values() for each in idle):
                connection.close()
            self._idle.clear()

    def _taken(self, key: tuple[Origin, str]) -> _Connection | None:
        """A connection from before that is still good: one on which something has come unasked is not."""
        while True:
            with self._lock:
                idle = self._idle.get(key)
                connection = idle.pop() if idle else None
            if connection is None or not _has_news(connection.sock):
                return connection
            connection.close()

    def _opened(self, server: Origin, way: Way) -> _Connection:
        context = self._context_of(server) if server[0] == "https" else None
        connection = _Connection(server, context)
        if way.proxy:
            proxy = proxy_origin(way.proxy)
            connection.go_through(proxy, way.proxy, self._context_of(proxy) if proxy[0] == "https" else None)
        connection.open(way)
        return connection

    def _back(self, key: tuple[Origin, str], connection: _Connection, again: bool) -> None:
        with self._lock:
            idle = self._idle.pop(key, [])
            given_up = [connection]
            if again and len(idle) < _MOST_IDLE:
                idle.append(given_up.pop())
            self._idle[key] = idle  # the last one now
            if len(self._idle) > _MOST_SERVERS:
                given_up += self._idle.pop(next(iter(self._idle)))
        for each in given_up:
            each.close()


class _Raw(http.client.HTTPResponse):
    """The library's answer, after all that servers say while they still work on it (1xx: RFC 9110, 15.2)."""

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]  # what begin() calls
        return version, http.client.CONTINUE if 101 < status < 200 else status, reason


class _Connection(http.client.HTTPConnection):
    """A connection to one server: plain or TLS, directly or through a proxy."""

    auto_open = 0  # one that the other side has closed is not opened anew behind our back
    response_class = _Raw

    def __init__(self, server: Origin, context: ssl.SSLContext | None) -> None:
        super().__init__(server[1], server[2])
        self._server = server
        self._own_context = context
        self._proxy: tuple[Origin, ssl.SSLContext | None] | None = None
        self.greeting: dict[str, str] = {}
        """Headers for a proxy that reads our requests itself."""

    def go_through(self, proxy: Origin, url: str, context: ssl.SSLContext | None) -> None:
        """Have the connection lead through a proxy; `url` is the proxy's, with the login for it."""
        self._proxy = (proxy, context)
        self.greeting = {f"Proxy-{name}": value for name, value in _login_in(url).items()}

    def open(self, way: Way) -> None:
        """Connect. Raises OSError; ProxyError for what is the proxy's fault."""
        try:
            if self._proxy is None:
                self.sock = _dialled(self._server, way.connect_s)
            else:
                self._reach_through(*self._proxy, way)
            if self._own_context is not None:
                self.sock = _wrapped(self.sock, self._own_context, self.host)
        except BaseException:
            self.close()
            raise

    def _reach_through(self, proxy: Origin, context: ssl.SSLContext | None, way: Way) -> None:
        """Connect to a proxy, and have it connect us on where it is not to read our requests. Raises ProxyError."""
        try:
            self.sock = _dialled(proxy, way.connect_s)
            if context is not None:
                self.sock = context.wrap_socket(self.sock, server_hostname=proxy[1])
            if self._server[0] == "https":
                with _in_time(self.sock, way.connect_s):
                    self._go_on()
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise ProxyError(*error.args) from error

    def _go_on(self) -> None:
        """Have the proxy connect us to the server (CONNECT: RFC 9110, 9.3.6)."""
        name = names_of(self._server)[0]
        lines = [f"CONNECT {name} HTTP/1.1", f"Host: {name}"]
        lines += [f"{name}: {value}" for name, value in self.greeting.items()]
        self.greeting = {}
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        answer = _Raw(self.sock, method="CONNECT")
        try:
            answer.begin()
            if not 200 <= answer.status < 300:
                raise OSError(f"Tunnel connection failed: {answer.status}")
        finally:
            answer.close()

    def getresponse(self) -> http.client.HTTPResponse:
        """The head of the answer. Raises TimeoutError when it is not whole in time, OSError, HTTPException."""
        with _in_time(self.sock, self.sock.gettimeout()):
            response = super().getresponse()
        if "Transfer-Encoding" in response.headers and not response.chunked:
            response.close()
            raise http.client.HTTPException("the answer has a Transfer-Encoding that nobody asked for")
        return response


def _dialled(server: Origin, connect_s: float) -> socket.socket:
    try:
        sock = socket.create_connection(server[1:], connect_s)
    except OSError as error:
        raise NewConnectionError(*error.args) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _send(connection: _Connection, headers: Mapping[str, str], body: Iterable[bytes] | None) -> None:
    """Send the rest of a request."""
    for name, value in headers.items():
        if not _is_put(connection, name, value):
            raise http.client.HTTPException(f"the header {name} cannot be sent")
    connection.endheaders()
    try:
        for piece in body or ():
            connection.send(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass  # who refuses a body early may have said why


def _is_put(connection: _Connection, name: str, value: str) -> bool:
    """Send a header, unless it is none. The library's error would show the value, wherever it is chained to."""
    try:
        connection.putheader(name, value)
    except ValueError:
        return False
    return True


def _wrapped(sock: socket.socket, context: ssl.SSLContext, name: str) -> Any:
    """TLS over a connection, which may be one of TLS to a proxy."""
    if not isinstance(sock, ssl.SSLSocket):
        return context.wrap_socket(sock, server_hostname=name)
    from urllib3.util.ssltransport import SSLTransport

    with _in_time(sock, sock.gettimeout()):  # the standard library bounds a handshake as a whole, this does not
        return SSLTransport(sock, context, name)


def _has_news(sock: Any) -> bool:
    """Whether something has come, or the end; TLS may have taken it from the socket already."""
    below = getattr(sock, "socket", sock)
    held = below.pending() if isinstance(below, ssl.SSLSocket) else 0
    if below is not sock:
        held += sock.sslobj.pending() + sock.incoming.pending
    if held:
        return True
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _target(url: str, *, whole: bool) -> str:
    """What a request asks for: a path for the server itself, the whole URL for a proxy (RFC 9112, 3.2)."""
    parts = urlsplit(url)
    path = quote(parts.path or "/", safe=_KEPT) + (f"?{quote(parts.query, safe=_KEPT)}" if parts.query else "")
    return f"{parts.scheme}://{_host(origin(url))}{path}" if whole else path


def _host(server: Origin) -> str:
    scheme, _, port = server
    usual = port == (443 if scheme == "https" else 80)
    return names_of(server)[-1 if usual else 0]


def _login_in(url: str) -> dict[str, str]:
    """The Authorization of a user and password that a URL holds."""
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    if not at:
        return {}
    name, _, password = user.partition(":")
    text = f"{unquote(name)}:{unquote(password)}"
    return {"Authorization": "Basic " + base64.b64encode(text.encode("utf-8", "surrogateescape")).decode("ascii")}


class _Fuse:
    """Shuts a connection down under its reader when the time is over. Use it with `with`; `blown` says that it did."""

    def __init__(self, sock: Any, seconds: float) -> None:
        self._sock = getattr(sock, "socket", sock)  # below TLS in TLS
        self._late = threading.Event()
        self._timer = threading.Timer(max(0.0, seconds) + _GRACE_S, self._shut)
        self._timer.daemon = True

    @property
    def blown(self) -> bool:
        return self._late.is_set()

    def _shut(self) -> None:
        self._late.set()
        try:
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)  # not SSLSocket's, which would unwrap it meanwhile
        except OSError:
            pass  # the other side was faster

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


@contextmanager
def _in_time(sock: Any, seconds: float | None) -> Iterator[None]:
    """Bounds the wait for the head of an answer as a whole. Raises TimeoutError.

    The socket's timeout only bounds the wait for the next bytes: who sends a letter now and then, or `100 Continue`
    without an end, would keep us for ever. So the connection is shut down under the reader when the time is over.
    """
    late = "the head of the answer did not come to its end"
    with _Fuse(sock, 60.0 if seconds is None else seconds) as fuse:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            if fuse.blown:
                raise TimeoutError(late) from error
            raise
    if fuse.blown:  # http.client takes the end of the connection for the end of the head
        raise TimeoutError(late)
