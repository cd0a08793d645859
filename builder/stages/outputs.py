"""Outputs: the image that a build made goes where it was asked for, each kind by one small function.

Where an output wants the image a little different, `variant` makes it so in the store first; blobs and documents are
then shared by all outputs that want the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, assert_never

from builder.declare import replace
from builder.errors import ImageError
from builder.oci.sink import send_to
from builder.stages.export import Built, Left
from builder.stages.hands import Hands
from builder.stages.variant import variant
from builder.values.access import Access
from builder.values.event import PUSHED, Exported, Note
from builder.values.image import Image
from builder.values.output import (
    Destination,
    DockerOutput,
    ImageOutput,
    LocalOutput,
    OciArchiveOutput,
    OciOutput,
    Output,
    PushBy,
    PushOutput,
    TarOutput,
)
from builder.values.reference import Reference


def write_outputs(built: Built, hands: Hands) -> Left:
    """Write what was asked for, in its order. Raises a PybuildError."""
    left = Left(built.image, built.image)
    for output in hands.request.outputs:
        image = _write(output, built, hands)
        if image is not None:
            left = Left(image if isinstance(output, ImageOutput | PushOutput) else left.named, image)
    return left


def _write(output: Output, built: Built, hands: Hands) -> Image | None:
    """Write one output; the image that it holds, None where it holds only files."""
    match output:
        case OciOutput():
            return _layout(output, built, hands)
        case OciArchiveOutput():
            return _oci_archive(output, built, hands)
        case DockerOutput():
            return _docker_archive(output, built, hands)
        case LocalOutput():
            _local(output, built, hands)
        case TarOutput():
            _tar(output, built, hands)
        case ImageOutput():
            return _image(output, built, hands)
        case PushOutput():
            return _pushed(output, built, hands)
        case _:
            assert_never(output)
    return None


def _layout(output: OciOutput, built: Built, hands: Hands) -> Image:
    from builder.oci.layout import write_layout

    image = variant(built, output.options, hands)
    write_layout(output.destination, image, hands.store.blobs.path, _names(output.names, hands))
    return _told("OCI layout", output.destination, image, hands)


def _oci_archive(output: OciArchiveOutput, built: Built, hands: Hands) -> Image:
    from builder.oci.archive import write_archive

    image, names = variant(built, output.options, hands), _names(output.names, hands)
    send_to(output.destination, lambda out: write_archive(out, image, hands.store.blobs.path, names))
    return _told("OCI archive", output.destination, image, hands)


def _docker_archive(output: DockerOutput, built: Built, hands: Hands) -> Image:
    from builder.oci.docker_save import write_docker_archive

    image, names = variant(built, output.options, hands), _names(output.names, hands)
    send_to(output.destination, lambda out: write_docker_archive(out, image, hands.store.blobs.path, names))
    return _told("docker archive", output.destination, image, hands)


def _local(output: LocalOutput, built: Built, hands: Hands) -> None:
    from builder.stages.flatten import left_out, write_files_of

    target = output.destination
    if output.by_platform:
        target /= str(built.image.config.platform).replace("/", "_")  # as BuildKit names it
    counted = write_files_of(built.image, target, hands.layers)
    if counted:
        hands.emit(Note(f"{left_out(counted)} left out of {target}: special files are only in type=tar"))
    hands.emit(Exported("files", str(target)))


def _tar(output: TarOutput, built: Built, hands: Hands) -> None:
    from builder.stages.flatten import write_tar_of

    def write(out: Path | BinaryIO) -> None:
        if isinstance(out, Path):
            _into_file(out, lambda file: write_tar_of(built.image, file, hands.layers))
        else:
            write_tar_of(built.image, out, hands.layers)

    send_to(output.destination, write)
    hands.emit(Exported("tar of files", str(output.destination)))


def _into_file(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """A file that appears under its name when it is whole."""
    from builder.oci.place import write_whole
    from builder.oci.verify import write_error

    try:
        write_whole(path, write)
    except OSError as error:
        raise write_error(error, path) from error


def _image(output: ImageOutput, built: Built, hands: Hands) -> Image:
    image = variant(built, output.options, hands)
    _name(image, _names(output.names, hands), hands)
    return image


def _pushed(output: PushOutput, built: Built, hands: Hands) -> Image:
    """The image is named in the store first: what fails afterwards can be tried again without a build. Bare names are
    the store's alone.
    """
    from builder.stages.pushing import push_from_store

    image, names = variant(built, output.options, hands), _names(output.names, hands)
    if output.by is PushBy.TAG:
        _name(image, names, hands)
        targets = tuple(name for name in names if not name.is_bare)
    else:
        there = (name for name in names if not name.is_bare)
        targets = tuple(dict.fromkeys(replace(name, tag=None, digest=image.manifest.digest) for name in there))
    access = _believing(targets, hands.request.access) if output.insecure else hands.request.access
    try:
        push_from_store(image.manifest, targets, hands.store, access, hands.emit)
    except ImageError as error:
        raise _not_pushed(error, image, targets if output.by is PushBy.TAG else hands.request.tags) from error
    for name in targets:
        hands.emit(Exported(PUSHED, replace(name, digest=None).familiar, image.manifest.digest))
    return image


def _believing(names: tuple[Reference, ...], access: Access) -> Access:
    """The access when the registries of these names need not show who they are."""
    hosts = dict.fromkeys((*access.trust.insecure, *(name.registry for name in names)))
    return replace(access, trust=replace(access.trust, insecure=tuple(hosts)))


def _not_pushed(error: ImageError, image: Image, names: tuple[Reference, ...]) -> ImageError:
    """The same error, and where the image is all the same."""
    known = names[0].familiar if names else str(image.manifest.digest)
    there = f"the image is built and in the store: pybuild push {known}"
    return ImageError(error.message, span=error.span, hint=f"{error.hint}; {there}" if error.hint else there)


def _names(more: tuple[Reference, ...], hands: Hands) -> tuple[Reference, ...]:
    return tuple(dict.fromkeys((*hands.request.tags, *more)))


def _name(image: Image, names: tuple[Reference, ...], hands: Hands) -> None:
    for name in names:
        hands.store.images.tag(name, image.manifest)


def _told(kind: str, destination: Destination, image: Image, hands: Hands) -> Image:
    hands.emit(Exported(kind, str(destination), image.manifest.digest))
    return image
