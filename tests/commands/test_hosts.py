"""`--allow-host`."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.commands.hosts import read_allowed_hosts
from builder.commands.options import BuildOptions
from builder.commands.request import request_of
from builder.errors import UsageError
from builder.values.crossing import NetworkMode
from builder.values.hosts import HostPattern
from tests.commands.callers import caller


def test_patterns() -> None:
    """Each pattern once, in the order in which they came."""
    words = ("example.org", "*.example.org:443", "EXAMPLE.org")
    found = read_allowed_hosts(words, NetworkMode.PROXY)
    assert found == (HostPattern("example.org"), HostPattern("*.example.org", 443))


def test_what_is_no_pattern() -> None:
    """It is refused with what a pattern looks like."""
    with pytest.raises(UsageError, match="is no pattern") as caught:
        read_allowed_hosts(("http://x",), NetworkMode.PROXY)
    assert "*.example.org" in (caught.value.hint or "")


@pytest.mark.parametrize("network", ["auto", "none", "host", None])
def test_it_goes_with_the_proxy(tmp_path: Path, network: str | None) -> None:
    """Where nothing would heed it, it is an error and not silence."""
    options = BuildOptions(context=str(tmp_path), network=network, allow_host=("x.test",))
    with pytest.raises(UsageError, match="only the network `proxy`"):
        request_of(options, caller(tmp_path))


def test_a_request_has_them(tmp_path: Path) -> None:
    """The patterns arrive where the steps are made."""
    options = BuildOptions(context=str(tmp_path), network="proxy", allow_host=("x.test",))
    assert request_of(options, caller(tmp_path)).allow_hosts == (HostPattern("x.test"),)
