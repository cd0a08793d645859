"""Capabilities by their names: which a step can be given, and why not the others. Nothing here knows their numbers.

A step runs as root of a user namespace at most, so a capability concerns that namespace and what belongs to it; but on
the rung ROOT there is none, and the same words would mean the machine itself. So a capability can be added only where
it reaches no further than the step's own processes, files and network on every rung.
Sources: capabilities(7); user_namespaces(7), "Effect of capabilities within a user namespace".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from builder.values.security import DEFAULT_CAPABILITIES, OWN_NETWORK

_ADDABLE: Final = ("DAC_READ_SEARCH", "IPC_OWNER", "LEASE", *OWN_NETWORK)

_MACHINE = "it is over the machine as a whole, which no step has a part in"
_REFUSED: Final = {
    "AUDIT_CONTROL": _MACHINE,
    "AUDIT_READ": _MACHINE,
    "AUDIT_WRITE": "the audit log is the machine's",
    "BLOCK_SUSPEND": _MACHINE,
    "BPF": "bpf(2) is refused to every step",
    "CHECKPOINT_RESTORE": _MACHINE,
    "IPC_LOCK": "locked memory is the machine's; --ulimit memlock=... bounds it",
    "LINUX_IMMUTABLE": "files that cannot be removed would stay in the store for good",
    "MAC_ADMIN": _MACHINE,
    "MAC_OVERRIDE": _MACHINE,
    "MKNOD": "no device can be made in a user namespace, whatever the capabilities",
    "PERFMON": "perf_event_open(2) is refused to every step",
    "SYSLOG": _MACHINE,
    "SYS_ADMIN": "it is nearly everything; --security=nested lets a step make namespaces of its own, and mount in them",
    "SYS_BOOT": _MACHINE,
    "SYS_MODULE": _MACHINE,
    "SYS_NICE": "priorities are shared with all processes of the machine",
    "SYS_PACCT": _MACHINE,
    # In a container the step's /proc may be the container's, and would then be a way into its other processes.
    "SYS_PTRACE": "programs of one user may trace each other without it",
    "SYS_RAWIO": _MACHINE,
    "SYS_RESOURCE": "quotas and limits are the machine's; --ulimit sets those of a step",
    "SYS_TIME": _MACHINE,
    "SYS_TTY_CONFIG": _MACHINE,
    "WAKE_ALARM": _MACHINE,
}

ALL: Final = "ALL"

CAPABILITY_NAMES: Final = tuple(sorted({*DEFAULT_CAPABILITIES, *_ADDABLE, *_REFUSED}))
"""Every capability that there is, without CAP_."""


def capabilities_of(added: Sequence[str], dropped: Sequence[str]) -> tuple[str, ...]:
    """The defaults without those dropped and with those added, sorted; `dropped` may hold ALL.

    Names may be written in any case and with CAP_. Raises ValueError saying which name cannot be, and why.
    """
    more = tuple(_name(word) for word in added)
    less = tuple(_name(word) for word in dropped)
    for name in more:
        if name == ALL:
            raise ValueError("ALL cannot be added: name those that are needed")
        if name in _REFUSED:
            raise ValueError(f"{name} cannot be added: {_REFUSED[name]}")
        if name in less:
            raise ValueError(f"{name} is both added and dropped")
    kept = () if ALL in less else tuple(name for name in DEFAULT_CAPABILITIES if name not in less)
    return tuple(sorted({*kept, *more}))


def _name(word: str) -> str:
    name = word.upper().removeprefix("CAP_")
    if name != ALL and name not in CAPABILITY_NAMES:
        raise ValueError(f"there is no capability {word[:40]!r}")
    return name
