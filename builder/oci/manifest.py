"""Manifests and indexes of OCI and of Docker schema 2, and the choice of a platform. Pure: bytes in, values out.

The config's document has its own module and is offered here too. Sources: OCI image-spec, manifest.md, image-index.md,
descriptor.md; Docker's image manifest v2 schema 2. Foreign layers, schema 1 and doubtful documents are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from builder.declare import dataclass, replace
from builder.errors import ImageError
from builder.oci.config import MAX_LAYERS, read_config, write_config
from builder.oci.document import Document, canonical, digest_of, parse_document
from builder.tree import bounds
from builder.values.image import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MEDIA_CONFIG,
    MEDIA_INDEX,
    MEDIA_LAYER,
    MEDIA_LAYER_GZIP,
    MEDIA_LAYER_ZSTD,
    MEDIA_MANIFEST,
    Descriptor,
)
from builder.values.platform import Platform

__all__ = [
    "INDEX_TYPES",
    "MANIFEST_TYPES",
    "MAX_LAYERS",
    "Manifest",
    "choose",
    "descriptor_fields",
    "read_config",
    "read_descriptor",
    "read_index",
    "read_manifest",
    "write_config",
    "write_index",
    "write_manifest",
]

MANIFEST_TYPES = (MEDIA_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES = (MEDIA_INDEX, DOCKER_LIST)
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1"
_CONFIG_TYPES = (MEDIA_CONFIG, DOCKER_CONFIG)
_LAYER_TYPES = {
    MEDIA_LAYER: MEDIA_LAYER,
    MEDIA_LAYER_GZIP: MEDIA_LAYER_GZIP,
    MEDIA_LAYER_ZSTD: MEDIA_LAYER_ZSTD,
    DOCKER_LAYER: MEDIA_LAYER,
    DOCKER_LAYER_GZIP: MEDIA_LAYER_GZIP,
    DOCKER_LAYER + ".zstd": MEDIA_LAYER_ZSTD,  # containerd and BuildKit write it, though Docker never named it
}
_OLDER_VARIANTS = {"v7": ("v6", "v5"), "v6": ("v5",), "v4": ("v3", "v2"), "v3": ("v2",)}


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image: its config and its layers, bottom first, with OCI's media types whatever the document's were."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: tuple[tuple[str, str], ...] = ()


def kind_of(data: bytes, announced: str, what: str) -> str:
    """The media type of a manifest or index. Raises ImageError where body, field and announcement disagree.

    `announced` is what the descriptor or the Content-Type header says; a type that is neither a manifest's nor an
    index's says nothing (some servers send application/json). A document that has the fields of both could be read
    in two ways under one digest, and is refused (CVE-2021-41190).
    """
    document = parse_document(data, what)
    declared = document.text("mediaType")
    is_manifest = document.has("config") or document.has("layers")
    is_index = document.has("manifests")
    if is_manifest and is_index:
        raise ImageError(f"{what} is both a manifest and an index, and is refused")
    for media_type in (declared, announced):
        if media_type.startswith(_SCHEMA_1):
            raise _schema_1(what)
    known = [media_type for media_type in (declared, announced) if media_type in MANIFEST_TYPES + INDEX_TYPES]
    if len(set(known)) > 1:
        raise ImageError(f"{what} says it is {known[0]}, but was announced as {known[1]}")
    if declared and declared not in MANIFEST_TYPES + INDEX_TYPES:
        raise ImageError(
            f"{what} has the unknown media type {declared[:200]!r}", hint="it may not be a container image"
        )
    if document.number("schemaVersion") == 1:
        raise _schema_1(what)
    shape = MEDIA_INDEX if is_index else MEDIA_MANIFEST
    found = known[0] if known else shape
    if (found in INDEX_TYPES) != is_index:
        raise ImageError(f"{what} says it is {found}, but does not look like one")
    return found


def _schema_1(what: str) -> ImageError:
    return ImageError(
        f"{what} is a Docker schema 1 manifest, which nothing can verify",
        hint="pull it with a tool that still can, and push it again as schema 2 or OCI",
    )


def read_manifest(data: bytes, media_type: str) -> Manifest:
    """Read an image manifest of OCI or Docker schema 2. Raises ImageError."""
    what = "the image's manifest"
    if kind_of(data, media_type, what) not in MANIFEST_TYPES:
        raise ImageError(f"{what} is an index of images, not a manifest")
    document = parse_document(data, what)
    config = document.inner("config")
    if config is None:
        raise ImageError(f"{what} is not valid: it has no 'config'")
    return Manifest(
        config=_config(read_descriptor(config)),
        layers=tuple(_layer(read_descriptor(layer)) for layer in document.inners("layers", MAX_LAYERS)),
        annotations=document.pairs("annotations"),
    )


def _config(descriptor: Descriptor) -> Descriptor:
    if descriptor.media_type not in _CONFIG_TYPES:
        raise ImageError(
            f"this is not a container image: its config is of type {descriptor.media_type[:200]!r}",
            hint="artifacts (Helm charts, signatures, models) cannot be built upon",
        )
    return descriptor


def _layer(descriptor: Descriptor) -> Descriptor:
    media_type = descriptor.media_type
    if "nondistributable" in media_type or ".foreign." in media_type:
        raise ImageError(
            f"layer {descriptor.digest} is a foreign layer, which lies outside of its registry and is refused",
            hint="such layers are Windows base images; build on a Linux image",
        )
    if media_type not in _LAYER_TYPES:
        raise ImageError(f"layer {descriptor.digest} has the unknown media type {media_type[:200]!r}")
    return replace(descriptor, media_type=_LAYER_TYPES[media_type])


def read_index(data: bytes) -> tuple[Descriptor, ...]:
    """The entries of an OCI index or Docker manifest list. Raises ImageError."""
    what = "the image's index"
    if kind_of(data, "", what) not in INDEX_TYPES:
        raise ImageError(f"{what} is a manifest, not an index")
    entries = parse_document(data, what).inners("manifests", bounds.limits().index_entries)
    return tuple(read_descriptor(entry) for entry in entries)


def read_descriptor(document: Document) -> Descriptor:
    """Read a descriptor. Raises ImageError."""
    size = document.number("size", -1)
    if size < 0:
        raise ImageError(f"{document.what} is not valid: it has no size")
    platform = document.inner("platform")
    return Descriptor(
        media_type=document.text("mediaType"),
        digest=digest_of(document.text("digest"), document.what),
        size=size,
        annotations=document.pairs("annotations"),
        platform=None if platform is None else _platform(platform),
        artifact_type=document.text("artifactType"),
    )


def _platform(document: Document) -> Platform:
    return Platform.of(document.text("os"), document.text("architecture"), document.text("variant"))


def choose(descriptors: Sequence[Descriptor], platform: Platform) -> Descriptor:
    """The entry of an index for `platform`. Raises ImageError listing the platforms there are.

    First an exact match, then the nearest older variant that the machine also runs (arm/v7 runs arm/v6), then a lone
    entry that names no platform (an index inside an index, or the one image of a layout).
    """
    images = [entry for entry in descriptors if not _is_attestation(entry)]
    for wanted in _runnable(platform):
        for entry in images:
            if entry.platform == wanted:
                return entry
    unnamed = [entry for entry in images if entry.platform is None or not entry.platform.os]
    if len({entry.digest for entry in unnamed}) == 1:
        return unnamed[0]
    there = sorted({str(entry.platform) for entry in images if entry.platform is not None and entry.platform.os})
    raise ImageError(
        f"there is no image for {platform}",
        hint=f"there are images for {_some(there)}; --platform chooses one" if there else "the index is empty",
    )


def _runnable(platform: Platform) -> Iterable[Platform]:
    yield platform
    for variant in _OLDER_VARIANTS.get(platform.variant, ()):
        yield Platform.of(platform.os, platform.architecture, variant)
    if platform.architecture in ("amd64", "arm64") and platform.variant:
        yield Platform.of(platform.os, platform.architecture)


def _is_attestation(entry: Descriptor) -> bool:
    """BuildKit's provenance and SBOM documents stand in the index beside the images, for unknown/unknown."""
    named = dict(entry.annotations).get("vnd.docker.reference.type", "")
    return bool(named) or (entry.platform is not None and entry.platform.os == "unknown")


def _some(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def write_manifest(
    config: Descriptor, layers: Sequence[Descriptor], annotations: Sequence[tuple[str, str]] = ()
) -> bytes:
    """The bytes of an OCI manifest."""
    fields: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MEDIA_MANIFEST,
        "config": descriptor_fields(config),
        "layers": [descriptor_fields(layer) for layer in layers],
    }
    if annotations:
        fields["annotations"] = dict(sorted(annotations))
    return canonical(fields)


def write_index(descriptors: Sequence[Descriptor]) -> bytes:
    """The bytes of an OCI index (a layout's index.json among them)."""
    entries = [descriptor_fields(entry) for entry in descriptors]
    return canonical({"schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": entries})


def descriptor_fields(descriptor: Descriptor) -> dict[str, object]:
    """A descriptor as the JSON object that stands for it."""
    fields: dict[str, object] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    if descriptor.annotations:
        fields["annotations"] = dict(sorted(descriptor.annotations))
    if descriptor.platform is not None:
        platform = descriptor.platform
        parts = {"architecture": platform.architecture, "os": platform.os, "variant": platform.variant}
        fields["platform"] = {name: value for name, value in parts.items() if value}
    if descriptor.artifact_type:
        fields["artifactType"] = descriptor.artifact_type
    return fields
