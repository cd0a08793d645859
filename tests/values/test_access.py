"""How registries are reached."""

from __future__ import annotations

import math
from dataclasses import replace

from builder.values.access import Access, Credential


def test_a_credential_is_never_shown() -> None:
    """Neither name nor password is in its repr, nor in that of what holds it."""
    text = repr(Credential("name", "secret", "token"))
    assert not any(part in text for part in ("name", "secret", "token"))


def test_without_anything_everybody_is_anonymous() -> None:
    """The default has no logins, no proxies and trusts nobody more than the system does."""
    access = Access()
    assert access.keyring.find("registry.example", "app") is None
    assert not access.proxies and not access.trust.insecure


def test_all_transfers_of_a_command_end_together() -> None:
    """The clock starts with the first of them, and a changed copy has the same."""
    access = Access(total_s=10)
    assert access.ends_s(100.0) == 110.0
    assert replace(access, total_s=20).ends_s(105.0) == 120.0
    assert Access(total_s=10).ends_s(105.0) == 115.0
    assert Access().ends_s(100.0) == math.inf
