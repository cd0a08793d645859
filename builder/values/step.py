"""The plan: every step of a target fully expanded, and what the image's config will say.

A step is work that changes the file system. Everything else that an instruction does is already in the target's
final `config`; all that is left of it here is its line in the history.
"""

from __future__ import annotations

from builder.declare import dataclass
from builder.source import Span
from builder.values.image import ImageConfig, RunConfig
from builder.values.mount import MountRequest
from builder.values.platform import Platform
from builder.values.repository import Repository
from builder.values.security import Security


@dataclass(frozen=True, slots=True)
class ContextOrigin:
    """Files come from the build context."""


@dataclass(frozen=True, slots=True)
class TargetOrigin:
    """Files come from what an earlier target has built."""

    index: int


@dataclass(frozen=True, slots=True)
class ImageOrigin:
    """Files come from an image (or a named context) that the Buildfile calls by this name."""

    name: str


Origin = ContextOrigin | TargetOrigin | ImageOrigin


@dataclass(frozen=True, slots=True)
class Inline:
    """A file written in the Buildfile itself (a heredoc), its variables expanded."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class MountPlan:
    """A --mount of a RUN and where its `from` leads (the context where it names nothing)."""

    request: MountRequest
    origin: Origin


@dataclass(frozen=True, slots=True)
class RunStep:
    """A command. `env` is all that the image and ARGs give; `hidden_env` (proxies) is in no key and no history."""

    span: Span
    title: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    hidden_env: tuple[tuple[str, str], ...]
    cwd: str
    user: str
    network: str
    security: Security
    mounts: tuple[MountPlan, ...]
    scripts: tuple[Inline, ...] = ()  # shown as /dev/pipes/NAME while the command runs
    source_date_epoch: int | None = None  # no file of the layer is newer (Unix time)
    hostname: str = ""  # empty: the usual one


@dataclass(frozen=True, slots=True)
class CopyStep:
    """COPY or ADD. `destination` is absolute; it keeps a trailing slash, which means a directory.

    `unpack`: archives are unpacked. `downloads`: sources that are URLs are fetched (ADD only);
    `repositories`: those that are git repositories.
    """

    span: Span
    title: str
    origin: Origin
    sources: tuple[str, ...]
    inline: tuple[Inline, ...]
    destination: str
    chown: str | None
    chmod: str | None
    link: bool
    parents: bool
    excludes: tuple[str, ...]
    unpack: bool = False
    unpack_downloads: bool = False
    downloads: tuple[str, ...] = ()
    checksum: str | None = None
    repositories: tuple[Repository, ...] = ()
    source_date_epoch: int | None = None


@dataclass(frozen=True, slots=True)
class WorkdirStep:
    """A directory that must be there; made with this user as its owner when it is not."""

    span: Span
    title: str
    path: str
    user: str
    source_date_epoch: int | None = None


Step = RunStep | CopyStep | WorkdirStep


def targets_used(step: Step) -> list[int]:
    """The targets that a step takes files from."""
    match step:
        case CopyStep(origin=TargetOrigin(index)):
            return [index]
        case RunStep():
            origins = [mount.origin for mount in step.mounts]
            return [origin.index for origin in origins if isinstance(origin, TargetOrigin)]
        case _:
            return []


@dataclass(frozen=True, slots=True)
class Recorded:
    """An instruction that only changed the config: a line in the history."""

    created_by: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A step and its line in the history."""

    step: Step
    created_by: str


Action = Planned | Recorded


@dataclass(frozen=True, slots=True)
class ScratchBase:
    """FROM scratch."""


@dataclass(frozen=True, slots=True)
class TargetBase:
    """FROM an earlier target."""

    index: int


@dataclass(frozen=True, slots=True)
class ImageBase:
    """FROM an image, by the name that the Buildfile (variables expanded) gives it."""

    name: str
    platform: Platform


Base = ScratchBase | TargetBase | ImageBase


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """All that one target does. `config` is what its image will say; `platform` what it is for."""

    index: int
    name: str
    span: Span
    base: Base
    base_config: ImageConfig
    actions: tuple[Action, ...]
    config: RunConfig
    author: str
    platform: Platform
    args: tuple[tuple[str, str], ...]  # ARG values at its end, which a target based on it starts with

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps alone, in order."""
        return tuple(action.step for action in self.actions if isinstance(action, Planned))


@dataclass(frozen=True, slots=True)
class Plan:
    """The targets that are needed, in an order in which each comes after those it uses; the last one is wanted."""

    targets: tuple[TargetPlan, ...]
    source_date_epoch: int | None = None
