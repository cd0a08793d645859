"""Tests of a build request: what is left out, and that secrets do not show."""

from __future__ import annotations

from pathlib import Path

from builder.values.compression import Compression
from builder.values.crossing import NetworkMode
from builder.values.request import BuildRequest, Secret


def test_a_secret_is_not_shown() -> None:
    """Neither a secret's repr nor that of a request that holds it has its value in it."""
    secret = Secret("token", b"hunter2")
    request = BuildRequest(Path("."), secrets=(secret,))
    assert "hunter2" not in repr(secret) + str(secret) + repr(request) + f"{request}"
    assert "token" in repr(request)


def test_secrets_compare_by_value() -> None:
    """Hiding the value does not make different secrets equal."""
    assert Secret("a", b"1") != Secret("a", b"2")


def test_what_nobody_asked_for() -> None:
    """A request with nothing but a context builds the last stage with the cache, in gzip, and allows nothing."""
    request = BuildRequest(Path("."))
    assert (request.target, request.no_cache, request.pull) == (None, False, False)
    assert (request.allow, request.labels, request.network) == ((), (), NetworkMode.DEFAULT)
    assert request.compression is Compression.GZIP
