"""An image's documents in the words of OCI or of Docker schema 2. Pure: layers' blobs and the config's bytes stay.

Both formats hold the same things under other media types, so what changes is the manifest alone. What Docker's has no
place for is told by value and never dropped silently by us: whoever asked for the conversion says it to people.
Sources: OCI image-spec, manifest.md and media-types.md (its table of what corresponds to what); Docker's image
manifest v2 schema 2.
"""

from __future__ import annotations

from collections.abc import Mapping

from builder.declare import dataclass, replace
from builder.errors import ImageError
from builder.oci.document import canonical
from builder.oci.manifest import descriptor_fields, write_manifest
from builder.values.digest import Digest
from builder.values.image import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    MEDIA_CONFIG,
    MEDIA_LAYER,
    MEDIA_LAYER_GZIP,
    MEDIA_LAYER_ZSTD,
    MEDIA_MANIFEST,
    Descriptor,
    Image,
    Layer,
)

_DOCKER_LAYERS: Mapping[str, str] = {
    MEDIA_LAYER: DOCKER_LAYER,
    MEDIA_LAYER_GZIP: DOCKER_LAYER_GZIP,
    DOCKER_LAYER: DOCKER_LAYER,
    DOCKER_LAYER_GZIP: DOCKER_LAYER_GZIP,
}
_OCI_LAYERS: Mapping[str, str] = {
    DOCKER_LAYER: MEDIA_LAYER,
    DOCKER_LAYER_GZIP: MEDIA_LAYER_GZIP,
    DOCKER_LAYER + ".zstd": MEDIA_LAYER_ZSTD,
}


@dataclass(frozen=True, slots=True)
class Converted:
    """An image, and the documents of it that are new, by their digests; none where nothing changed.

    `dropped` are the keys of annotations that the new format has no place for, sorted.
    """

    image: Image
    documents: tuple[tuple[Digest, bytes], ...] = ()
    dropped: tuple[str, ...] = ()


def as_oci(image: Image) -> Converted:
    """The image under an OCI manifest; itself where it has one."""
    if image.manifest.media_type == MEDIA_MANIFEST:
        return Converted(image)
    config = replace(image.config_descriptor, media_type=MEDIA_CONFIG)
    layers = tuple(_typed(layer, _OCI_LAYERS.get(_type_of(layer), _type_of(layer))) for layer in image.layers)
    data = write_manifest(config, [layer.descriptor for layer in layers], image.annotations)
    return _converted(replace(image, config_descriptor=config, layers=layers), MEDIA_MANIFEST, data)


def as_docker(image: Image) -> Converted:
    """The image under a manifest of Docker's schema 2; itself where it has one.

    The values of the new image keep OCI's types for config and layers, as those of every image that was read do; the
    document has Docker's. Raises ImageError for layers that schema 2 has no type for (zstd).
    """
    if image.manifest.media_type == DOCKER_MANIFEST:
        return Converted(image)
    fields = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": descriptor_fields(_bare(image.config_descriptor, DOCKER_CONFIG)),
        "layers": [descriptor_fields(_bare(layer.descriptor, _docker_type(layer))) for layer in image.layers],
    }
    plain = tuple(_typed(layer, _type_of(layer)) for layer in image.layers)
    config = _bare(image.config_descriptor, image.config_descriptor.media_type)
    changed = replace(image, config_descriptor=config, layers=plain, annotations=())
    return replace(_converted(changed, DOCKER_MANIFEST, canonical(fields)), dropped=_annotations_of(image))


def _converted(image: Image, media_type: str, data: bytes) -> Converted:
    digest = Digest.of(data)
    manifest = replace(image.manifest, media_type=media_type, digest=digest, size=len(data), annotations=())
    return Converted(replace(image, manifest=manifest), ((digest, data),))


def _docker_type(layer: Layer) -> str:
    media_type = _DOCKER_LAYERS.get(_type_of(layer))
    if media_type is None:
        kind = "compressed with zstd" if _type_of(layer).endswith("zstd") else f"of type {_type_of(layer)[:200]!r}"
        raise ImageError(
            f"layer {layer.descriptor.digest} is {kind}, which Docker's manifest has no media type for",
            hint="keep OCI's media types, or compress the layers with gzip",
        )
    return media_type


def _annotations_of(image: Image) -> tuple[str, ...]:
    """The keys of all annotations that the image's own manifest holds."""
    points = (image.config_descriptor, *(layer.descriptor for layer in image.layers))
    pairs = [*image.annotations, *(pair for point in points for pair in point.annotations)]
    return tuple(sorted({key for key, _ in pairs}))


def _type_of(layer: Layer) -> str:
    return layer.descriptor.media_type


def _typed(layer: Layer, media_type: str) -> Layer:
    return replace(layer, descriptor=_bare(layer.descriptor, media_type))


def _bare(descriptor: Descriptor, media_type: str) -> Descriptor:
    return replace(descriptor, media_type=media_type, annotations=(), platform=None)
