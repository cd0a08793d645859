"""Whether a registry speaks https or plain http, where both are allowed: asked before anything else is said.

Everywhere else it is https. On loopback, and for who was named as insecure, a first request without any login finds
out. As docker does, https comes first, so a registry that speaks both is never spoken to in plain text.
"""

from __future__ import annotations

from builder.oci.hosts import may_be_plain, origin, registry_url
from builder.oci.transport import Http
from builder.values.access import Trust


def base_url(registry: str, http: Http, trust: Trust) -> str:
    """Where a reference's registry is reached. Raises ImageError when nobody answers where it has to be asked."""
    secure = registry_url(registry)
    if not may_be_plain(origin(secure), trust.insecure):
        return secure
    return secure if http.speaks_tls(f"{secure}/v2/") else secure.replace("https", "http", 1)
