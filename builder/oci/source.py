"""Where images come from, as one protocol, and what all sources share: the walk from a name's descriptor to an Image.

A source only knows how to read a document and how to stream a blob. Nothing here opens a file or a connection; whatever
a source hands over has been verified (builder/oci/verify.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from builder.declare import replace
from builder.errors import ImageError
from builder.oci.manifest import INDEX_TYPES, Manifest, choose, kind_of, read_config, read_index, read_manifest
from builder.tree import bounds
from builder.values.digest import Digest
from builder.values.image import MEDIA_CONFIG, Descriptor, Image, ImageConfig, Layer
from builder.values.limits import raised_by
from builder.values.platform import Platform

Progress = Callable[[int], None]
"""Is told how many bytes of the blob have arrived so far."""


class ImageSource(Protocol):
    """An image outside of the store. Every method raises ImageError for what is missing, damaged or refused."""

    @property
    def name(self) -> str:
        """The image as people call it, for messages."""

    def load(self, platform: Platform) -> Image:
        """The image for `platform`: its manifest and config, verified by their digests; no layer is fetched.

        Where there is only one image, without an index, its config says for which platform it is; the caller compares.
        """

    def documents(self, image: Image) -> Iterable[tuple[Digest, bytes]]:
        """The bytes of the manifest and of the config of an image that `load` gave, to be kept beside its layers."""

    def fetch(self, layer: Descriptor, into: Path, progress: Progress) -> None:
        """Write the layer's blob to the file `into`, verified by digest and size; a failure leaves no file there.

        Several layers may be fetched at the same time from several threads.
        """


def ignore_progress(_: int) -> None:
    """For who does not want to know."""


Tell = Callable[[str], None]
"""Is told what people should know: which registry stood in for which, and what a short name led to."""


def tell_nobody(_: str) -> None:
    """For who asks for an image and not for where it came from."""


ReadDocument = Callable[[Descriptor], bytes]
"""Gives the verified bytes that a descriptor points at; a document's size is below `document.most_bytes()`."""


class Documents:
    """The small documents of a source: each is read once and remembered by its digest."""

    def __init__(self) -> None:
        self._bytes: dict[Digest, bytes] = {}

    def put(self, data: bytes) -> Digest:
        """Remember a document and give its digest."""
        digest = Digest.of(data)
        self._bytes[digest] = data
        return digest

    def reader(self, read: ReadDocument) -> ReadDocument:
        """`read`, asked only for what is not remembered yet."""

        def remembered(descriptor: Descriptor) -> bytes:
            data = self._bytes.get(descriptor.digest)
            if data is None or len(data) != descriptor.size:
                data = read(descriptor)
                self._bytes[descriptor.digest] = data
            return data

        return remembered

    def of(self, image: Image) -> tuple[tuple[Digest, bytes], ...]:
        """An image's manifest and config; it came from this source."""
        return tuple((point.digest, self._bytes[point.digest]) for point in (image.manifest, image.config_descriptor))


def load_image(name: str, root: Descriptor, read: ReadDocument, platform: Platform) -> Image:
    """Walk from `root` (a manifest or an index) to the image for `platform`. Raises ImageError."""
    try:
        manifest_descriptor, data = _find_manifest(root, read, platform)
        manifest = read_manifest(data, manifest_descriptor.media_type)
        config = read_config(read(manifest.config))
        return assemble(manifest_descriptor, manifest, config)
    except ImageError as error:
        raise named(error, name) from error


def _find_manifest(root: Descriptor, read: ReadDocument, platform: Platform) -> tuple[Descriptor, bytes]:
    """The first manifest on the way down from `root`, and its bytes."""
    seen: set[Digest] = set()
    at = root
    for _ in range(bounds.limits().index_depth + 1):
        if at.digest in seen:
            raise ImageError(f"the image's index {at.digest} points at itself")
        seen.add(at.digest)
        data = read(at)
        media_type = kind_of(data, at.media_type, "the image's manifest")
        if media_type not in INDEX_TYPES:
            return replace(at, media_type=media_type, annotations=(), platform=None), data
        at = choose(read_index(data), platform)
    raise too_deep()


def too_deep() -> ImageError:
    """The error for indexes in indexes beyond the limit."""
    most = bounds.limits().index_depth
    return ImageError(f"the image's indexes are nested more than {most} deep", hint=raised_by("index-depth"))


def assemble(descriptor: Descriptor, manifest: Manifest, config: ImageConfig) -> Image:
    """An Image from its parts. Raises ImageError when manifest and config disagree about the number of layers."""
    if len(manifest.layers) != len(config.diff_ids):
        raise ImageError(
            f"the image is damaged: its manifest has {len(manifest.layers)} layers, its config {len(config.diff_ids)}"
        )
    pairs = zip(manifest.layers, config.diff_ids, strict=True)
    return Image(
        manifest=descriptor,
        config_descriptor=replace(manifest.config, media_type=MEDIA_CONFIG),
        config=config,
        layers=tuple(Layer(layer, diff_id) for layer, diff_id in pairs),
        annotations=manifest.annotations,
    )


def named(error: ImageError, name: str) -> ImageError:
    """The same error with the image's name in front, unless the name is in it already."""
    if name in error.message:
        return error
    return type(error)(f"{name}: {error.message}", span=error.span, hint=error.hint)
