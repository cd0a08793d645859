"""Intake: images made whole in the store and then named there, as pull and load do it.

The names in an archive are a stranger's text. What is no name of an image is left out with a note, and so is one with a
digest: that would be the stranger's word for which bytes they are.
"""

from __future__ import annotations

from collections.abc import Iterable

from builder.declare import dataclass, replace
from builder.oci.docker_archive import DockerArchiveSource
from builder.oci.layout import ANNOTATION_NAME, ANNOTATION_TAG, LayoutReader
from builder.oci.source import ImageSource
from builder.stages.images import build_platform
from builder.stages.transfer import keep, wanted_image
from builder.store.store import Store
from builder.values.digest import Digest
from builder.values.event import Emit, Note
from builder.values.image import Image
from builder.values.platform import Platform
from builder.values.reference import Reference


@dataclass(frozen=True, slots=True)
class Taken:
    """An image that is in the store now, and the names that it got."""

    digest: Digest
    names: tuple[Reference, ...]


def pull(source: ImageSource, platform: Platform | None, store: Store, emit: Emit) -> Taken:
    """Take in the image that a source's name means, under that name. Raises ImageError, StoreError.

    One of a layout or an archive gets the name that stands there, if it has one.
    """
    image = wanted_image(source, platform, emit)
    meant = getattr(source, "meant", None)
    if not isinstance(meant, Reference):
        return take_in(source, image, _titles(source, platform or build_platform()), store, emit)
    keep(source, image, store, emit)
    store.pulled.put(meant, platform or build_platform(), image.manifest)
    return name_in_store(image, (meant,), store)


def _titles(source: ImageSource, platform: Platform) -> tuple[str, ...]:
    """The names that an archive or a layout itself gives the image, as they stand there."""
    if isinstance(source, DockerArchiveSource):
        return source.tags
    if isinstance(source, LayoutReader):
        annotations = dict(source.root(platform).annotations)
        title = annotations.get(ANNOTATION_NAME) or annotations.get(ANNOTATION_TAG, "")
        return (title,) if ":" in title or "/" in title else ()
    return ()


def take_in(source: ImageSource, image: Image, titles: Iterable[str], store: Store, emit: Emit) -> Taken:
    """Take in an image that the source has loaded, under those of the titles that are names of images."""
    keep(source, image, store, emit)
    return name_in_store(image, references(titles, source.name, emit), store)


def references(titles: Iterable[str], whose: str, emit: Emit) -> tuple[Reference, ...]:
    """The names that a stranger's texts are, each once; a note for each that is none."""
    found: dict[Reference, None] = {}
    for title in titles:
        try:
            reference = Reference.parse(title)
        except ValueError as error:
            emit(Note(f"{whose}: a name in it is left out: {error}"))
            continue
        if reference.digest is not None:
            emit(Note(f"{whose}: the name {reference.familiar[:200]} in it is left out, because it holds a digest"))
            continue
        found[reference] = None
    return tuple(found)


def name_in_store(image: Image, names: tuple[Reference, ...], store: Store) -> Taken:
    """Name an image that is whole in the store. Raises StoreError."""
    for name in names:
        store.images.tag(name, replace(image.manifest, annotations=(), platform=image.config.platform))
    return Taken(image.manifest.digest, names)
