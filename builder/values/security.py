"""How much a step may do: the kind of its sandbox, and its capabilities. Which can be had is in `capabilities`."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from builder.declare import dataclass


class Security(StrEnum):
    """The kind of sandbox that a step has; docs in SECURITY.md."""

    SANDBOX = "sandbox"
    NESTED = "nested"  # namespaces and mounts inside the step are allowed, for sandboxes that it makes itself
    INSECURE = "insecure"  # all capabilities of the namespace, no filter, nothing masked


DEFAULT_CAPABILITIES: Final = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",  # rpm
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",  # apt, debootstrap
)
"""What a step as uid 0 has unless it is said otherwise."""

OWN_NETWORK: Final = ("NET_ADMIN", "NET_BROADCAST", "NET_RAW")
"""These are over a network namespace, so they can only be had where the step has one of its own."""


@dataclass(frozen=True, slots=True)
class Privileges:
    """What the command line gives steps: the kind of sandbox, capabilities (sorted), and whether exec may raise."""

    security: Security = Security.SANDBOX
    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    no_new_privileges: bool = False
