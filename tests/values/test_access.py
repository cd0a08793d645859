"""How registries are reached."""

from __future__ import annotations

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
