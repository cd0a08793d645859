"""The connections behind `Http`: requests' session under our rules, with a TLS context for each server.

No environment is read (requests' trust_env is off), no cookie is kept, nothing is followed or retried here.
"""

from __future__ import annotations

import http.client
import http.cookiejar
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

import requests
import requests.adapters
import urllib3
import urllib3.connection

from builder.oci.hosts import Origin, origin

_POOL_SIZE = 16
_GRACE_S = 0.5  # what comes at the last moment may be read
ContextOf = Callable[[Origin], ssl.SSLContext]


class Session(requests.Session):
    """A session whose connections to a server use that server's own TLS context; may be used from several threads."""

    def __init__(self, context_of: ContextOf) -> None:
        super().__init__()
        self._context_of = context_of
        self._adapters: dict[Origin, requests.adapters.BaseAdapter] = {}
        self._lock = threading.Lock()
        self.trust_env = False
        self.headers.update({"User-Agent": "pybuild", "Accept": "*/*", "Accept-Encoding": "identity"})
        # No domain may set a cookie: requests to one registry have nothing to say to the next.
        self.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        # Who is not verified was named by the user as insecure; urllib3 would say so to standard error at each request.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def get_adapter(self, url: str | bytes) -> requests.adapters.BaseAdapter:
        """The adapter for a URL's server, made at the first request to it. Raises ValueError for what is no URL."""
        server = origin(url if isinstance(url, str) else url.decode("ascii"))
        context = self._context_of(server) if server[0] == "https" else None
        with self._lock:
            if server not in self._adapters:
                self._adapters[server] = _adapter(context)
            return self._adapters[server]

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: requests would read a redirect's whole body, however long, just to know the next request."""

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for adapter in self._adapters.values():
                adapter.close()


class _Fuse:
    """Shuts a connection down under its reader when the time is over. Use it with `with`; `blown` says that it did."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock = sock
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


class _Patient:
    """Bounds the wait for the head of an answer as a whole.

    The socket's timeout only bounds the wait for the next bytes: who sends a letter now and then, or `100 Continue`
    without an end, would keep us for ever. So the connection is shut down under the reader when the time is over.
    """

    sock: socket.socket

    def getresponse(self) -> Any:
        """The head of the answer. Raises TimeoutError when it is not whole in time."""
        sock = self.sock
        timeout_s = sock.gettimeout()
        if timeout_s is None:
            return super().getresponse()  # type: ignore[misc]  # urllib3's, beside which this class stands
        with _Fuse(sock, timeout_s) as fuse:
            try:
                answer = super().getresponse()  # type: ignore[misc]
            except (OSError, http.client.HTTPException) as error:
                if fuse.blown:
                    raise _late() from error
                raise
        if fuse.blown:  # http.client takes the end of the connection for the end of the head
            raise _late()
        answer.under_it = sock  # for the body's deadline; a connection that is not kept forgets its socket by now
        return answer


def bounded_body(response: requests.Response, seconds: float) -> AbstractContextManager[object]:
    """While a body is read in this block: it ends for the reader when the time is over.

    One in chunks has sizes and trailers between its bytes, in a single read of which a server could keep us for ever.
    All other reads give what is there.
    """
    sock = getattr(response.raw, "under_it", None)
    if sock is None or not getattr(response.raw, "chunked", False):
        return nullcontext()
    return _Fuse(sock, seconds)


def _late() -> TimeoutError:
    return TimeoutError("the head of the answer did not come to its end")


class _PlainConnection(_Patient, urllib3.connection.HTTPConnection):
    """http."""


class _TlsConnection(_Patient, urllib3.connection.HTTPSConnection):
    """https."""


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _adapter(context: ssl.SSLContext | None) -> requests.adapters.BaseAdapter:
    return _Adapter() if context is None else _TlsAdapter(context)


def _patient(manager: Any) -> Any:
    """The same manager of pools, whose connections do not wait for ever."""
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
    return manager


class _Adapter(requests.adapters.HTTPAdapter):
    """requests' adapter with connections of ours."""

    def __init__(self) -> None:
        super().__init__(pool_maxsize=_POOL_SIZE)

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        super().init_poolmanager(*arguments, **settings)
        _patient(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        return _patient(super().proxy_manager_for(proxy, **settings))


class _TlsAdapter(_Adapter):
    """The same with a TLS context of ours, directly and through a proxy."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        super().init_poolmanager(*arguments, **{**settings, "ssl_context": self._context})

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        return super().proxy_manager_for(proxy, **{**settings, "ssl_context": self._context})

    def cert_verify(self, *_: Any) -> None:
        """Nothing: requests would add certifi's CAs to our context, and so believe whom we do not."""
