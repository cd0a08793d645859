"""Outputs: the image that a build made goes where it was asked for, each kind by one small function.

An output may want the image a little different (another compression, annotations, Docker's media types): that variant
is made in the store first, where blobs and documents are shared by all outputs that want the same.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, assert_never

from builder.errors import StoreError
from builder.stages.hands import Hands
from builder.stages.recompress import recompressed, with_layers
from builder.values.event import Exported, Note
from builder.values.image import Image
from builder.values.output import (
    Annotation,
    Destination,
    DockerOutput,
    ImageOptions,
    ImageOutput,
    LocalOutput,
    MediaTypes,
    OciArchiveOutput,
    OciOutput,
    Output,
    Place,
    PushOutput,
    Stream,
    TarOutput,
)
from builder.values.reference import Reference


@dataclass(frozen=True, slots=True)
class Built:
    """The image of a build as it is in the store; the lowest `kept` of its layers are the base's."""

    image: Image
    kept: int


@dataclass(frozen=True, slots=True)
class Left:
    """What a build leaves: the image that the names in the store lead to, and the last one that an output holds."""

    named: Image
    last: Image


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
    _to(output.destination, lambda out: write_archive(out, image, hands.store.blobs.path, names))
    return _told("OCI archive", output.destination, image, hands)


def _docker_archive(output: DockerOutput, built: Built, hands: Hands) -> Image:
    from builder.oci.docker_save import write_docker_archive

    image, names = variant(built, output.options, hands), _names(output.names, hands)
    _to(output.destination, lambda out: write_docker_archive(out, image, hands.store.blobs.path, names))
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

    _to(output.destination, write)
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
    raise NotImplementedError


def variant(built: Built, options: ImageOptions, hands: Hands) -> Image:
    """The image as an output wants it, all of it in the store; the built one where nothing is asked for."""
    image = built.image
    request = hands.request
    if options.compression is not None or options.level is not None or options.force:
        compression = options.compression or request.compression
        level = options.level if options.level is not None or options.compression else request.compression_level
        image = recompressed(image, compression, level, hands.store, 0 if options.force else built.kept)
    image = annotated(image, options.annotations, hands)
    return _in_docker_words(image, hands) if options.media_types is MediaTypes.DOCKER else image


def annotated(image: Image, annotations: tuple[Annotation, ...], hands: Hands) -> Image:
    """The image with these annotations too, under a new manifest where that holds any of them."""
    platform = image.config.platform
    meant = [each for each in annotations if each.platform is None or each.platform == platform]
    inside = dict(image.annotations) | {each.key: each.value for each in meant if each.place is Place.MANIFEST}
    beside = dict(image.manifest.annotations) | {
        each.key: each.value for each in meant if each.place is Place.DESCRIPTOR
    }
    if inside != dict(image.annotations):
        image = with_layers(replace(image, annotations=tuple(sorted(inside.items()))), image.layers, hands.store)
    return replace(image, manifest=replace(image.manifest, annotations=tuple(sorted(beside.items()))))


def _in_docker_words(image: Image, hands: Hands) -> Image:
    from builder.oci.convert import as_docker

    converted = as_docker(image)
    for _, data in converted.documents:
        hands.store.blobs.put(data)
    if converted.dropped:
        hands.emit(Note(f"Docker's manifest has no place for annotations: {', '.join(converted.dropped)} are left out"))
    return converted.image


def _names(more: tuple[Reference, ...], hands: Hands) -> tuple[Reference, ...]:
    return tuple(dict.fromkeys((*hands.request.tags, *more)))


def _name(image: Image, names: tuple[Reference, ...], hands: Hands) -> None:
    for name in names:
        hands.store.images.tag(name, image.manifest)


def _told(kind: str, destination: Destination, image: Image, hands: Hands) -> Image:
    hands.emit(Exported(kind, str(destination), image.manifest.digest))
    return image


def _to(destination: Destination, write: Callable[[Path | BinaryIO], None]) -> None:
    """Have one file written: under its name when it is whole, or piece by piece where nothing can be replaced."""
    if isinstance(destination, Stream):
        _to_stream(destination.descriptor, "standard output", write)
    elif _is_special(destination):
        try:
            with open(destination, "wb") as out:
                _to_stream(out.fileno(), str(destination), write)
        except OSError as error:
            raise _unwritable(error, str(destination)) from error
    else:
        write(destination)


def _is_special(path: Path) -> bool:
    """Whether a path names a pipe or a device, such as /dev/stdout."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _to_stream(descriptor: int, what: str, write: Callable[[Path | BinaryIO], None]) -> None:
    try:
        with open(descriptor, "wb", closefd=False) as stream:
            write(stream)
    except OSError as error:
        raise _unwritable(error, what) from error


def _unwritable(error: OSError, what: str) -> StoreError:
    if isinstance(error, BrokenPipeError):
        return StoreError(f"{what} was closed before all of the image was written")
    hint = "make room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    return StoreError(f"cannot write the image to {what}: {error.strerror}", hint=hint)
