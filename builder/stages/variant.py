"""The image that a build made, as one output wants it: another compression, annotations, Docker's media types."""

from __future__ import annotations

from builder.declare import replace
from builder.stages.export import Built
from builder.stages.hands import Hands
from builder.stages.recompress import recompressed, with_layers
from builder.values.compression import Compression
from builder.values.event import Note
from builder.values.image import Image
from builder.values.output import Annotation, ImageOptions, MediaTypes, Place
from builder.values.request import BuildRequest


def variant(built: Built, options: ImageOptions, hands: Hands) -> Image:
    """The image as an output wants it, all of it in the store; the built one where nothing is asked for.

    Raises StoreError, and ImageError for what Docker's media types cannot say.
    """
    image = built.image
    compression = _compression(options, hands.request)
    if compression is not None:
        kept = 0 if options.force else built.kept
        image = recompressed(image, compression, _level(options, compression, hands.request), hands.store, kept)
    image = annotated(image, options.annotations, hands)
    return _in_docker_words(image, hands) if options.media_types is MediaTypes.DOCKER else image


def _compression(options: ImageOptions, request: BuildRequest) -> Compression | None:
    """What layers are to be brought into; None leaves them."""
    if options.compression is not None:
        return options.compression
    if options.media_types is MediaTypes.DOCKER and request.compression is Compression.ZSTD:
        return Compression.GZIP  # the only one that Docker's media types know
    return request.compression if options.level is not None or options.force else None


def _level(options: ImageOptions, compression: Compression, request: BuildRequest) -> int | None:
    if options.level is not None:
        return options.level
    return request.compression_level if compression is request.compression else None


def annotated(image: Image, annotations: tuple[Annotation, ...], hands: Hands) -> Image:
    """The image with these annotations too, under a new manifest where that holds any of them."""
    platform = image.config.platform
    meant = [each for each in annotations if each.platform is None or each.platform == platform]
    inside = dict(image.annotations) | _pairs(meant, Place.MANIFEST)
    beside = dict(image.manifest.annotations) | _pairs(meant, Place.DESCRIPTOR)
    if inside != dict(image.annotations):
        image = with_layers(replace(image, annotations=tuple(sorted(inside.items()))), image.layers, hands.store)
    return replace(image, manifest=replace(image.manifest, annotations=tuple(sorted(beside.items()))))


def _pairs(annotations: list[Annotation], place: Place) -> dict[str, str]:
    return {each.key: each.value for each in annotations if each.place is place}


def _in_docker_words(image: Image, hands: Hands) -> Image:
    from builder.oci.convert import as_docker

    converted = as_docker(image)
    for _, data in converted.documents:
        hands.store.blobs.put(data)
    if converted.dropped:
        dropped = ", ".join(converted.dropped)
        hands.emit(Note(f"Docker's manifest has no place for annotations; left out: {dropped}"))
    manifest = replace(converted.image.manifest, annotations=image.manifest.annotations)
    return replace(converted.image, manifest=manifest)
