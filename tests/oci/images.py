"""Small images for tests, made with Python's own tarfile: independent of the code under test."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import zstandard

from builder.oci.manifest import write_config, write_manifest
from builder.values.digest import DiffId, Digest
from builder.values.image import (
    MEDIA_CONFIG,
    MEDIA_LAYER,
    MEDIA_LAYER_GZIP,
    MEDIA_LAYER_ZSTD,
    MEDIA_MANIFEST,
    Descriptor,
    History,
    Image,
    ImageConfig,
    Layer,
    RunConfig,
)
from builder.values.platform import Platform

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")


def tar_of(files: dict[str, bytes]) -> bytes:
    """A plain tar of regular files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def compressed(tar: bytes, media_type: str) -> bytes:
    """A tar as a layer's blob."""
    if media_type == MEDIA_LAYER_GZIP:
        return gzip.compress(tar, mtime=0)
    if media_type == MEDIA_LAYER_ZSTD:
        return zstandard.ZstdCompressor().compress(tar)
    assert media_type == MEDIA_LAYER
    return tar


@dataclass(frozen=True)
class Sample:
    """An image and all of its blobs."""

    image: Image
    blobs: dict[Digest, bytes]

    def write_blobs(self, directory: Path) -> None:
        """Put every blob into `directory` under its hex name."""
        directory.mkdir(parents=True, exist_ok=True)
        for digest, data in self.blobs.items():
            (directory / digest.hex).write_bytes(data)

    def layer_bytes(self, number: int = 0) -> bytes:
        """The blob of a layer."""
        return self.blobs[self.image.layers[number].descriptor.digest]


def sample(
    platform: Platform = AMD64,
    media_types: tuple[str, ...] = (MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD, MEDIA_LAYER),
    run_config: RunConfig | None = None,
) -> Sample:
    """An image with one small layer for each media type."""
    layers = []
    blobs: dict[Digest, bytes] = {}
    for number, media_type in enumerate(media_types):
        tar = tar_of({f"file{number}": f"{platform} {number}\n".encode() * 100})
        blob = compressed(tar, media_type)
        blobs[Digest.of(blob)] = blob
        layers.append(Layer(Descriptor(media_type, Digest.of(blob), len(blob)), DiffId.of(tar)))
    config = ImageConfig(
        platform=platform,
        config=run_config or RunConfig(env=(("PATH", "/bin"),), cmd=("/file0",)),
        created="2024-01-02T03:04:05Z",
        history=tuple(
            History(created_by=f"layer {number}", created="2024-01-02T03:04:05Z") for number in range(len(layers))
        ),
        diff_ids=tuple(layer.diff_id for layer in layers),
    )
    config_data = write_config(config)
    config_point = Descriptor(MEDIA_CONFIG, Digest.of(config_data), len(config_data))
    manifest_data = write_manifest(config_point, [layer.descriptor for layer in layers])
    manifest = Descriptor(MEDIA_MANIFEST, Digest.of(manifest_data), len(manifest_data))
    blobs[config_point.digest] = config_data
    blobs[manifest.digest] = manifest_data
    return Sample(Image(manifest, config_point, config, tuple(layers)), blobs)


def as_json(value: object) -> bytes:
    """A document as bytes."""
    return json.dumps(value).encode()
