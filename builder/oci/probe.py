"""Whether a registry speaks https or plain http, where both are allowed: asked before anything else is said.

Everywhere else it is https. On loopback a handshake finds out, which believes anybody, shows nothing and says nothing;
at who was named as insecure a first request without any login, because it may have to go through a proxy. As docker
does, https comes first, so a registry that speaks both is never spoken to in plain text.
"""

from __future__ import annotations

import socket

from builder.oci.hosts import Origin, is_loopback, may_be_plain, origin, registry_url
from builder.oci.tls import unverified_context
from builder.oci.transport import Http
from builder.oci.unreachable import means_tls, unreachable
from builder.values.access import Trust

_HANDSHAKE_S = 2.0  # on loopback a server that speaks TLS answers at once


def base_url(registry: str, http: Http, trust: Trust) -> str:
    """Where a reference's registry is reached. Raises ImageError when nobody answers where it has to be asked."""
    secure = registry_url(registry)
    server = origin(secure)
    if not may_be_plain(server, trust.insecure):
        return secure
    if is_loopback(server[1]):
        speaks = _shakes_hands(server, secure, http.patience.connect_s)
    else:
        speaks = http.speaks_tls(f"{secure}/v2/")
    return secure if speaks else secure.replace("https", "http", 1)


def _shakes_hands(server: Origin, url: str, longest_s: float) -> bool:
    """Whether a server on loopback ends a TLS handshake well. One that hangs up, is silent or answers in plain text
    does not speak TLS: plain http is allowed there, and what follows says what is wrong if that is not so either.
    """
    _, host, port = server
    try:
        plain = socket.create_connection((host, port), timeout=longest_s)
    except OSError as error:
        raise unreachable(url, error) from error
    plain.settimeout(min(longest_s, _HANDSHAKE_S))
    try:
        with plain, unverified_context().wrap_socket(plain, server_hostname=host):
            return True
    except OSError as error:
        return bool(means_tls(error))
