"""What a machine allows, and what of it a step is given: ids, the kind of its root, its network.

Apart from the messages that carry them, which a cached build has no use for.
"""

from __future__ import annotations

from enum import StrEnum


class Rung(StrEnum):
    """How far up the ladder this machine lets us: what ids there are inside."""

    RANGE = "range"  # newuidmap wrote a range of at least 65536 ids
    SINGLE = "single"  # only our own id, as 0
    ROOT = "root"  # really root: no user namespace, all ids


class NetworkMode(StrEnum):
    """The network of a step. DEFAULT is the build's namespace (`auto`); where there can be none it becomes HOST."""

    DEFAULT = "default"
    HOST = "host"
    NONE = "none"
    PROXY = "proxy"  # a namespace like NONE's, out of which only our own proxy leads

    @classmethod
    def _missing_(cls, value: object) -> NetworkMode | None:
        """`auto` is another word for DEFAULT, whose own is Docker's and is in the keys of steps."""
        return cls.DEFAULT if value == "auto" else None


class RootKind(StrEnum):
    """How a step's root file system is put together."""

    OVERLAY = "overlay"
    FUSE = "fuse-overlayfs"
    COPY = "copy"
