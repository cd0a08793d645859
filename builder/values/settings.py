"""What the configuration file, the environment and the defaults say together, each value with where it is from."""

from __future__ import annotations

from pathlib import Path
from typing import Generic, TypeVar

from builder.declare import dataclass, field
from builder.values.compression import Compression
from builder.values.ladder import NetworkMode
from builder.values.limits import Limits

T_co = TypeVar("T_co", covariant=True)

DEFAULT = "default"

_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Setting(Generic[T_co]):
    """A value in force and who says so: `FILE:LINE`, `$VARIABLE`, or "default"."""

    value: T_co
    origin: str = DEFAULT

    @property
    def is_set(self) -> bool:
        """Whether somebody has said so."""
        return self.origin != DEFAULT


Mirrors = tuple[tuple[str, tuple[str, ...]], ...]
"""Hosts (or `host/path`) and what stands in for each, in order."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force. Paths are absolute; `root` and `authfile` None mean the usual place.

    `limit_bytes` 0 is no limit; `compression_level` None is that of the kind, `jobs` None
    what suits the machine, 0 no bound; `timeout_s` in seconds, 0 for no bound.
    """

    root: Setting[Path | None] = field(default_factory=lambda: Setting(None))
    limit_bytes: Setting[int] = field(default_factory=lambda: Setting(0))
    network: Setting[NetworkMode] = field(default_factory=lambda: Setting(NetworkMode.DEFAULT))
    compression: Setting[Compression] = field(default_factory=lambda: Setting(Compression.GZIP))
    compression_level: Setting[int | None] = field(default_factory=lambda: Setting(None))
    jobs: Setting[int | None] = field(default_factory=lambda: Setting(None))
    insecure: Setting[tuple[str, ...]] = field(default_factory=lambda: Setting(()))
    search: Setting[tuple[str, ...]] = field(default_factory=lambda: Setting(()))
    mirrors: Setting[Mirrors] = field(default_factory=lambda: Setting(()))
    cert_folders: Setting[tuple[Path, ...]] = field(default_factory=lambda: Setting(()))
    authfile: Setting[Path | None] = field(default_factory=lambda: Setting(None))
    timeout_s: Setting[float] = field(default_factory=lambda: Setting(0.0))
    document_bytes: Setting[int] = field(default_factory=lambda: Setting(_LIMITS.document_bytes))
    index_entries: Setting[int] = field(default_factory=lambda: Setting(_LIMITS.index_entries))
    index_depth: Setting[int] = field(default_factory=lambda: Setting(_LIMITS.index_depth))
    header_bytes: Setting[int] = field(default_factory=lambda: Setting(_LIMITS.header_bytes))
    layer_bytes: Setting[int] = field(default_factory=lambda: Setting(_LIMITS.layer_bytes))
    ratio: Setting[int] = field(default_factory=lambda: Setting(_LIMITS.ratio))
    ratio_from_bytes: Setting[int] = field(default_factory=lambda: Setting(_LIMITS.ratio_from_bytes))

    @property
    def limits(self) -> Limits:
        """How much is taken in from strangers."""
        return Limits(
            self.document_bytes.value,
            self.index_entries.value,
            self.index_depth.value,
            self.header_bytes.value,
            self.layer_bytes.value,
            self.ratio.value,
            self.ratio_from_bytes.value,
        )
