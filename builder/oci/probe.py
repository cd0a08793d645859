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
    _, host, port = server
    try:
        with (
            socket.create_connection((host, port), timeout=longest_s) as plain,
            unverified_context().wrap_socket(plain, server_hostname=host),
        ):
            return True
    except OSError as error:
        answer = means_tls(error)
        if answer is None:
            raise unreachable(url, error) from error
        return answer
