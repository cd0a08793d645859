"""Images as values: descriptors, layers, the config, the manifest. Reading and writing their JSON, and nothing else.

Sources: OCI image-spec (descriptor.md, config.md, manifest.md); Docker's fields that people use (Healthcheck, OnBuild,
Shell) as moby's image spec names them.
"""

from __future__ import annotations

from builder.declare import dataclass, field, replace
from builder.values.digest import ChainId, DiffId, Digest, chain_of
from builder.values.platform import Platform

MEDIA_INDEX = "application/vnd.oci.image.index.v1+json"
MEDIA_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MEDIA_CONFIG = "application/vnd.oci.image.config.v1+json"
MEDIA_LAYER = "application/vnd.oci.image.layer.v1.tar"
MEDIA_LAYER_GZIP = MEDIA_LAYER + "+gzip"
MEDIA_LAYER_ZSTD = MEDIA_LAYER + "+zstd"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Points at a blob: what it is, its digest and its size in bytes. `artifact_type` is what a manifest that is no
    image says it holds.
    """

    media_type: str
    digest: Digest
    size: int
    annotations: tuple[tuple[str, str], ...] = ()
    platform: Platform | None = None
    artifact_type: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of an image: its blob and the identity of its uncompressed tar."""

    descriptor: Descriptor
    diff_id: DiffId


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """`test`: empty (inherit), ("NONE",), ("CMD", …) or ("CMD-SHELL", text); times in nanoseconds, 0 the default."""

    test: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The `config` object of an image config: what a container of the image starts with."""

    user: str = ""
    env: tuple[tuple[str, str], ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] | None = None
    on_build: tuple[str, ...] = ()

    def env_value(self, name: str) -> str | None:
        """The value of a variable, or None where it is not set."""
        return dict(self.env).get(name)

    def with_env(self, name: str, value: str) -> RunConfig:
        """This config with one variable set; its place in the list is kept if it was there."""
        return replace(self, env=_with_pair(self.env, name, value))

    def with_label(self, name: str, value: str) -> RunConfig:
        """This config with one label set."""
        return replace(self, labels=_with_pair(self.labels, name, value))


@dataclass(frozen=True, slots=True)
class History:
    """One line of an image's history."""

    created_by: str
    created: str = ""
    empty_layer: bool = False
    comment: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """An image's whole config document. `diff_ids` bottom first."""

    platform: Platform
    config: RunConfig = field(default_factory=RunConfig)
    created: str = ""
    author: str = ""
    history: tuple[History, ...] = ()
    diff_ids: tuple[DiffId, ...] = ()
    os_version: str = ""

    @property
    def chain(self) -> ChainId:
        """The identity of the image's file system."""
        return chain_of(self.diff_ids)


@dataclass(frozen=True, slots=True)
class Image:
    """A whole image: the manifest's descriptor, the config's, the config itself, and the layers, bottom first."""

    manifest: Descriptor
    config_descriptor: Descriptor
    config: ImageConfig
    layers: tuple[Layer, ...]
    annotations: tuple[tuple[str, str], ...] = ()


def _with_pair(pairs: tuple[tuple[str, str], ...], name: str, value: str) -> tuple[tuple[str, str], ...]:
    if any(key == name for key, _ in pairs):
        return tuple((key, value if key == name else old) for key, old in pairs)
    return (*pairs, (name, value))
