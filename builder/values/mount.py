"""What a `RUN --mount` asks for, one type a kind. Nothing here knows what is behind it: that is the plan's to say.

Source: the Dockerfile reference, "RUN --mount". Targets are as written (a relative one is below the working
directory); ids and modes are numbers; None is "not said".
"""

from __future__ import annotations

from enum import StrEnum

from builder.declare import dataclass


class Sharing(StrEnum):
    """What happens to a cache that two steps want at the same time."""

    SHARED = "shared"
    PRIVATE = "private"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class BindRequest:
    """Files of the context, a stage or an image; what is written to a writable one is thrown away."""

    target: str
    source: str = "/"
    from_: str | None = None
    writable: bool = False


@dataclass(frozen=True, slots=True)
class CacheRequest:
    """A directory that outlives the build; a new one starts as a copy of `source` in `from_` (empty when None)."""

    target: str
    id: str
    sharing: Sharing = Sharing.SHARED
    read_only: bool = False
    from_: str | None = None
    source: str = "/"
    mode: int = 0o755
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class TmpfsRequest:
    """A fresh tmpfs; `size_bytes` 0 is the kernel's default."""

    target: str
    size_bytes: int = 0
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class SecretRequest:
    """A secret as a file at `target`, as the environment variable `env`, or both; one of them is never None."""

    id: str
    target: str | None = None
    env: str | None = None
    required: bool = False
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class SshRequest:
    """The socket of an ssh agent; without a target the step's runner picks one and sets SSH_AUTH_SOCK."""

    id: str = "default"
    target: str | None = None
    required: bool = False
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


MountRequest = BindRequest | CacheRequest | TmpfsRequest | SecretRequest | SshRequest
