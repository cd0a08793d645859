"""A small image for tests of what is shown of images."""

from __future__ import annotations

from builder.values.digest import DiffId, Digest
from builder.values.image import (
    MEDIA_CONFIG,
    MEDIA_LAYER_GZIP,
    MEDIA_MANIFEST,
    Descriptor,
    Healthcheck,
    History,
    Image,
    ImageConfig,
    Layer,
    RunConfig,
)
from builder.values.platform import Platform


def layer(number: int, size: int) -> Layer:
    """A layer whose digests end in its number."""
    return Layer(Descriptor(MEDIA_LAYER_GZIP, Digest(f"{number:064x}"), size), DiffId(f"{number + 16:064x}"))


def image(config: RunConfig | None = None, history: tuple[History, ...] = ()) -> Image:
    """An image of two layers, 1 kB and 2 MB."""
    layers = (layer(1, 1000), layer(2, 2_000_000))
    return Image(
        manifest=Descriptor(MEDIA_MANIFEST, Digest("a" * 64), 500),
        config_descriptor=Descriptor(MEDIA_CONFIG, Digest("c" * 64), 600),
        config=ImageConfig(
            platform=Platform("linux", "amd64"),
            config=config or RunConfig(),
            created="2026-01-02T03:04:05Z",
            history=history,
            diff_ids=tuple(layer.diff_id for layer in layers),
        ),
        layers=layers,
    )


FULL = RunConfig(
    user="1000",
    env=(("PATH", "/bin"), ("EVIL", "\x1b[2J\nx")),
    entrypoint=("/app", "größe"),
    cmd=(),
    working_dir="/src",
    labels=(("a", "1"),),
    exposed_ports=("80/tcp",),
    volumes=("/data",),
    stop_signal="SIGINT",
    healthcheck=Healthcheck(("CMD-SHELL", "true"), interval_ns=5 * 10**9, retries=3),
    on_build=("RUN x",),
)

HISTORY = (
    History("FROM debian"),
    History("ENV A=b", empty_layer=True),
    History("RUN make \\\n    install\x07"),
)
