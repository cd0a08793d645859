"""https or plain http."""

from __future__ import annotations

import pytest

from builder.errors import ImageError
from builder.oci.probe import base_url
from builder.oci.transport import Http
from builder.values.access import Access, Trust
from tests.certificates import Authority
from tests.oci.rogue import QUICK, Rogue, running_rogue
from tests.registry import free_port


def asked(registry: str, trust: Trust | None = None) -> str:
    """Where a registry is reached."""
    trust = trust or Trust()
    return base_url(registry, Http(Access(trust=trust), QUICK), trust)


def test_elsewhere_it_is_https_without_asking() -> None:
    """Nobody can talk us out of TLS."""
    assert asked("registry.example:5000") == "https://registry.example:5000"
    assert asked("docker.io") == "https://registry-1.docker.io"


def test_a_plain_registry_on_loopback_is_found(rogue: Rogue, registry: str) -> None:
    """Whoever answers a handshake with something else speaks plain http: the scripted server and docker-registry."""
    assert asked(rogue.address) == rogue.url
    assert asked(registry) == f"http://{registry}"
    assert rogue.requests == []


def test_a_registry_on_loopback_that_speaks_tls_is_found(authority: Authority, tls_registry: str) -> None:
    """With a certificate that nobody believes, too: the first request will say so."""
    with running_rogue(tls=authority.server_context()) as server:
        assert asked(server.address) == server.url
    assert asked(tls_registry) == f"https://{tls_registry}"
    assert asked(tls_registry, Trust(insecure=(tls_registry,))) == f"https://{tls_registry}"


def test_who_does_not_answer_is_said_to_be_missing() -> None:
    """Nothing is guessed about a registry that is not there."""
    with pytest.raises(ImageError, match="refuses the connection"):
        asked(f"127.0.0.1:{free_port()}")
