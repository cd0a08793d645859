"""Rules of a registries.conf."""

from __future__ import annotations

from builder.values.registries import RegistryRules


def test_no_rules_are_equal() -> None:
    """Without a file there is one value."""
    assert RegistryRules() == RegistryRules()
