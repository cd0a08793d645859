"""Servers for the tests of images: a real registry for all of them, a misbehaving server for each that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.oci.rogue import Rogue, running_rogue
from tests.registry import running_registry


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a docker-registry on loopback."""
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def rogue() -> Iterator[Rogue]:
    """A server that does what the test tells it to."""
    with running_rogue() as server:
        yield server
