"""The first words that name a command, apart from the table that says all else: a build needs to know them and no more.

A test holds both together.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

NAMES: Final = (
    "build",
    "images",
    "inspect",
    "history",
    "ls",
    "cat",
    "diff",
    "tag",
    "rmi",
    "prune",
    "builds",
    "du",
    "pull",
    "push",
    "copy",
    "save",
    "load",
    "store",
    "login",
    "logout",
    "config",
    "unshare",
)

GROUPS: Final[Mapping[str, str]] = MappingProxyType({"store": "Look after the store."})
"""First words of commands of two words, and what they are about."""

VERBATIM: Final = frozenset(("unshare",))
"""Commands that take all that follows for their own words."""
