"""Carry: an image from anywhere to anywhere, without a name in the store here.

The bytes stay what they are, so that the image has the same digest where it arrives as where it came from, unless other
media types are asked for or the destination only knows OCI's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from builder.declare import dataclass, field, replace
from builder.errors import UsageError
from builder.oci.convert import Converted, as_docker, as_oci
from builder.oci.destination import Destination, ToDockerArchive, ToLayout, ToOciArchive, ToRegistry, ToStore
from builder.oci.layout import ANNOTATION_NAME, ANNOTATION_TAG, add_to_layout, blob_file, blobs_of
from builder.oci.listing import ListedSource, Listing, listing_of
from builder.oci.place import is_placed, sync_file
from builder.oci.sink import send_to
from builder.oci.source import ImageSource
from builder.stages.hold import Hold
from builder.stages.images import build_platform
from builder.stages.intake import name_in_store
from builder.stages.transfer import keep, wanted_image
from builder.store.store import Store
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.event import Emit, Note
from builder.values.image import Descriptor, Image
from builder.values.output import MediaTypes
from builder.values.platform import Platform
from builder.values.reference import Reference

if TYPE_CHECKING:
    from builder.oci.push import Watch


Outside = ToRegistry | ToLayout | ToOciArchive | ToDockerArchive


@dataclass(frozen=True, slots=True)
class Means:
    """What a transfer works with: the store (also for temporary files), the way to the destination's registry, and who
    hears of what happens.
    """

    store: Store
    emit: Emit
    access: Access = field(default_factory=Access)


@dataclass(frozen=True, slots=True)
class Wish:
    """Which image of the source, None for this machine's; and in whose media types, None for the destination's own."""

    platform: Platform | None = None
    media_types: MediaTypes | None = None


def carry(source: ImageSource, destination: Destination, wish: Wish, means: Means) -> Digest:
    """Bring the image that is wished for to the destination; the digest of its manifest there.

    A blob that the destination has already is not fetched. Raises ImageError, StoreError.
    """
    image = wanted_image(source, wish.platform, means.emit)
    converted = _in_words(image, destination, wish.media_types)
    if converted.dropped:
        means.emit(Note(f"Docker's manifest has no place for annotations: {', '.join(converted.dropped)} are left out"))
    if isinstance(destination, ToStore):
        keep(source, image, means.store, means.emit)
        for _, data in converted.documents:
            means.store.blobs.put(data)
        return name_in_store(converted.image, (destination.name,), means.store).digest
    with Hold(source, means.store, means.emit) as hold:
        documents = {**dict(source.documents(image)), **dict(converted.documents)}
        hold.load(documents, blobs_of(converted.image))
        _put(converted.image, source, destination, hold, means)
    return converted.image.manifest.digest


def _in_words(image: Image, destination: Destination, asked: MediaTypes | None) -> Converted:
    """The image in the media types asked for; without that in OCI's for OCI's layouts, and unchanged for all others."""
    if asked is None and isinstance(destination, ToLayout | ToOciArchive):
        asked = MediaTypes.OCI
    match asked:
        case None:
            return Converted(image)
        case MediaTypes.OCI:
            return as_oci(image)
        case MediaTypes.DOCKER:
            return as_docker(image)
        case _:
            assert_never(asked)


def _put(image: Image, source: ImageSource, destination: Outside, hold: Hold, means: Means) -> None:
    root = replace(image.manifest, annotations=(), platform=image.config.platform)
    match destination:
        case ToRegistry():
            _push(image, source, destination.name, hold, means)
        case ToLayout():
            _into_layout(destination, blobs_of(image), root, hold)
        case ToOciArchive():
            _into_archive(destination, blobs_of(image), root, hold)
        case ToDockerArchive():
            from builder.oci.docker_save import write_docker_archive

            names = () if destination.name is None else (destination.name,)
            with hold.coming(_by_digest(blobs_of(image))) as path:
                send_to(destination.file, lambda out: write_docker_archive(out, image, path, names))
        case _:
            assert_never(destination)


def carry_all(source: ImageSource, destination: Destination, means: Means) -> Digest:
    """Bring what the source's name points at, all platforms of an index included, byte by byte; the root's digest.

    Raises ImageError, StoreError; UsageError for a destination that holds images of one platform only.
    """
    if isinstance(destination, ToStore | ToDockerArchive):
        raise UsageError(
            f"{destination} has room for the image of one platform only",
            hint="--all is for registries, oci:DIR and oci-archive:FILE; --platform chooses one image",
        )
    if not isinstance(source, ListedSource):
        return carry(source, destination, Wish(), means)
    listing = listing_of(source.name, source.root(build_platform()), source.read)
    root = replace(listing.root, annotations=(), platform=None)
    with Hold(source, means.store, means.emit) as hold:
        hold.load({descriptor.digest: data for descriptor, data in listing.documents}, listing.blobs)
        match destination:
            case ToRegistry():
                _push_all(listing, source, destination.name, hold, means)
            case ToLayout():
                _into_layout(destination, listing.everything, root, hold)
            case ToOciArchive():
                _into_archive(destination, listing.everything, root, hold)
            case _:
                assert_never(destination)
    return root.digest


def _into_layout(destination: ToLayout, blobs: Sequence[Descriptor], root: Descriptor, hold: Hold) -> None:
    absent = [blob for blob in blobs if not _is_placed(blob_file(destination.directory, blob), blob)]
    with hold.coming(absent) as path:

        def synced(digest: Digest) -> Path:
            """The layout may get the very file (a hard link), which must be on the disk before index.json names it."""
            sync_file(path(digest))
            return path(digest)

        add_to_layout(destination.directory, blobs, synced, (_entry(root, destination.tag),))


def _is_placed(target: Path, blob: Descriptor) -> bool:
    try:
        return is_placed(target, blob)
    except OSError:
        return False  # what is wrong there is said by who writes


def _into_archive(destination: ToOciArchive, blobs: Sequence[Descriptor], root: Descriptor, hold: Hold) -> None:
    from builder.oci.archive import write_layout_archive

    with hold.coming(_by_digest(blobs)) as path:
        entries = (_entry(root, destination.tag),)
        send_to(destination.file, lambda out: write_layout_archive(out, blobs, path, entries))


def _by_digest(blobs: Sequence[Descriptor]) -> list[Descriptor]:
    """The order in which an archive has them."""
    from builder.oci.archive import in_order

    return in_order(blobs)


def _entry(root: Descriptor, tag: str | None) -> Descriptor:
    """An index.json's entry: named by the tag as written, and in full where it is a whole name."""
    if tag is None:
        return root
    annotations: Mapping[str, str] = {ANNOTATION_TAG: tag}
    if ":" in tag or "/" in tag:
        try:
            annotations = {ANNOTATION_NAME: str(Reference.parse(tag)), **annotations}
        except ValueError:
            pass  # a layout's names may be anything (image-spec, annotations.md, org.opencontainers.image.ref.name)
    return replace(root, annotations=tuple(annotations.items()))


def _push(image: Image, source: ImageSource, name: Reference, hold: Hold, means: Means) -> None:
    from builder.oci.push import push_image

    push_image(image, hold.path, (name,), means.access, _watch(source, means))


def _push_all(listing: Listing, source: ImageSource, name: Reference, hold: Hold, means: Means) -> None:
    from builder.oci.push import push_listing

    push_listing(listing, hold.path, (name,), means.access, _watch(source, means))


def _watch(source: ImageSource, means: Means) -> Watch:
    """Blobs that lie in another repository of the same registry are mounted from there, and not even fetched."""
    from builder.oci.push import Watch
    from builder.stages.pushing import progress_of
    from builder.stages.stock import Origins

    pulled = Origins(means.store)
    meant = getattr(source, "meant", None)
    first = (meant,) if isinstance(meant, Reference) else ()
    return Watch(progress_of(means.emit), lambda blob: (*first, *pulled.of(blob)))
