"""What a registries.conf says, as values: which registries stand in for which, and what a short name means."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RegistryRules:
    """The rules in force; without any, every name means what docker takes it for."""
