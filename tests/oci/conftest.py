"""Servers for the tests of images: a real registry for all of them, a misbehaving server for each that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.certificates import Authority, new_authority
from tests.oci.rogue import Rogue, running_rogue
from tests.registry import Tls, running_registry


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a docker-registry on loopback."""
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A private CA."""
    return new_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def tls_registry(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[str]:
    """A docker-registry with a certificate of the private CA; the login is me and secret."""
    directory = tmp_path_factory.mktemp("tls-registry")
    with running_registry(directory, users={"me": "secret"}, tls=Tls(*authority.server())) as address:
        yield address


@pytest.fixture(scope="session")
def login_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A docker-registry without TLS that wants the login me and secret."""
    with running_registry(tmp_path_factory.mktemp("login-registry"), users={"me": "secret"}) as address:
        yield address


@pytest.fixture
def rogue() -> Iterator[Rogue]:
    """A server that does what the test tells it to."""
    with running_rogue() as server:
        yield server
