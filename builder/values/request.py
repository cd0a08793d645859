"""What a person asked for, as one value: the command line and the environment, read once by `cli`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from builder.declare import dataclass, field
from builder.source import SourceText
from builder.values.access import Access
from builder.values.compression import Compression
from builder.values.elsewhere import Elsewhere
from builder.values.ladder import NetworkMode
from builder.values.limits import Limits
from builder.values.platform import Platform
from builder.values.reference import Reference
from builder.values.security import Privileges

if TYPE_CHECKING:  # a build without outputs need not know what outputs are
    from builder.values.hosts import HostPattern
    from builder.values.output import Annotation, Output


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by its id: its bytes (never shown by repr), and whether what a build makes is searched for them."""

    id: str
    value: bytes
    is_sought: bool = True

    def __repr__(self) -> str:
        return f"Secret(id={self.id!r})"


@dataclass(frozen=True, slots=True)
class SshAgent:
    """An ssh agent by its id: the path of its Unix socket."""

    id: str
    socket: Path


@dataclass(frozen=True, slots=True)
class Ulimit:
    """A resource limit for steps; -1 is no limit."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """Everything a build depends on besides files, store and registries.

    `buildfile` is a path, a text already read (`-f -`), or None to look for the usual names in the context. Where the
    context is `elsewhere`, `context` is only what it is called until it has been fetched, and `buildfile` lies in it.
    """

    context: Path
    buildfile: Path | SourceText | None = None
    tags: tuple[Reference, ...] = ()
    build_args: tuple[tuple[str, str], ...] = ()
    build_contexts: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    target: str | None = None
    platform: Platform | None = None
    network: NetworkMode = NetworkMode.DEFAULT
    no_cache: bool = False
    pull: bool = False
    outputs: tuple[Output, ...] = ()
    secrets: tuple[Secret, ...] = ()
    ssh: tuple[SshAgent, ...] = ()
    allow: tuple[str, ...] = ()
    allow_hosts: tuple[HostPattern, ...] = ()  # of the network `proxy`: whom steps may talk to; none is all
    add_hosts: tuple[tuple[str, str], ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    memory_bytes: int = 0
    proxies: tuple[tuple[str, str], ...] = ()  # HTTP_PROXY and its kind, as ARGs that are in no key and no history
    access: Access = field(default_factory=Access)
    compression: Compression = Compression.GZIP  # of the layers that this build makes, unless an output says otherwise
    compression_level: int | None = None  # None is the compression's own default
    annotations: tuple[Annotation, ...] = ()  # of the image itself, and so of every output that holds it
    store_limit_bytes: int = 0  # what the store is brought back to after a build; 0 is no limit
    elsewhere: Elsewhere | None = None
    context_name: str = ""  # what people call a context that was fetched
    privileges: Privileges = field(default_factory=Privileges)
    limits: Limits = field(default_factory=Limits)
    jobs: int | None = None  # how many targets may be under way at a time; 0 is no bound, None leaves it to the machine
