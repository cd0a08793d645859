"""The connections behind `Http`: requests' session under our rules, with a TLS context for each server.

No environment is read (requests' trust_env is off), no cookie is kept, nothing is followed or retried here.
"""

from __future__ import annotations

import http.cookiejar
import ssl
import threading
from collections.abc import Callable
from typing import Any

import requests
import requests.adapters
import urllib3

from builder.oci.hosts import Origin, origin

_POOL_SIZE = 16
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


def _adapter(context: ssl.SSLContext | None) -> requests.adapters.BaseAdapter:
    return requests.adapters.HTTPAdapter(pool_maxsize=_POOL_SIZE) if context is None else _TlsAdapter(context)


class _TlsAdapter(requests.adapters.HTTPAdapter):
    """requests' adapter with a TLS context of ours, directly and through a proxy."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_maxsize=_POOL_SIZE)

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        super().init_poolmanager(*arguments, **{**settings, "ssl_context": self._context})

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        return super().proxy_manager_for(proxy, **{**settings, "ssl_context": self._context})

    def cert_verify(self, *_: Any) -> None:
        """Nothing: requests would add certifi's CAs to our context, and so believe whom we do not."""
