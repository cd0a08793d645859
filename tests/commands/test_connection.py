"""How registries are reached."""

from __future__ import annotations

from builder.commands.connection import Connection, access_of
from tests.commands.callers import caller


def test_proxies_come_from_the_environment() -> None:
    """HTTP_PROXY and its kind are part of the way to a registry."""
    access = access_of(Connection(), caller(environment={"https_proxy": "http://p:3128"}))
    assert dict(access.proxies)["https_proxy"] == "http://p:3128"
