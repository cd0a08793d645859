"""What a build is to leave besides the image in the store: one `-o` as a value. How it is written is not known here."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from builder.declare import dataclass, field
from builder.values.compression import Compression
from builder.values.platform import Platform
from builder.values.reference import Reference


@dataclass(frozen=True, slots=True)
class Stream:
    """Standard output, which the front door gives as a descriptor."""

    descriptor: int

    def __str__(self) -> str:
        return "-"


Destination = Path | Stream


class MediaTypes(StrEnum):
    """In whose words an image's documents say what they are: OCI's, or those of Docker's schema 2."""

    OCI = "oci"
    DOCKER = "docker"


class Place(StrEnum):
    """Where an annotation stands: in the manifest, or on the descriptor that points at it."""

    MANIFEST = "manifest"
    DESCRIPTOR = "manifest-descriptor"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation; with a platform it is only for the image of that one."""

    key: str
    value: str
    place: Place = Place.MANIFEST
    platform: Platform | None = None


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """How an output's image differs from the one that was built; without any of it they are the same.

    `compression` and `level` are for the layers of this build, with `force` for those of the base too; None leaves
    them as the build made them.
    """

    compression: Compression | None = None
    level: int | None = None
    force: bool = False
    annotations: tuple[Annotation, ...] = ()
    media_types: MediaTypes = MediaTypes.OCI


@dataclass(frozen=True, slots=True)
class OciOutput:
    """`type=oci`: a layout in the directory `destination`, which may be one already. `names` besides those of -t."""

    destination: Path
    names: tuple[Reference, ...] = ()
    options: ImageOptions = field(default_factory=ImageOptions)


@dataclass(frozen=True, slots=True)
class OciArchiveOutput:
    """`type=oci`: a layout as one tar."""

    destination: Destination
    names: tuple[Reference, ...] = ()
    options: ImageOptions = field(default_factory=ImageOptions)


@dataclass(frozen=True, slots=True)
class DockerOutput:
    """`type=docker`: an archive that `docker load` takes."""

    destination: Destination
    names: tuple[Reference, ...] = ()
    options: ImageOptions = field(default_factory=ImageOptions)


@dataclass(frozen=True, slots=True)
class LocalOutput:
    """`type=local`: the files of the image in a directory; with `by_platform` in one inside of it named for that."""

    destination: Path
    by_platform: bool = False


@dataclass(frozen=True, slots=True)
class TarOutput:
    """`type=tar`: the files of the image as one tar."""

    destination: Destination


@dataclass(frozen=True, slots=True)
class ImageOutput:
    """`type=image`: the image in the store, under `names` besides those of -t."""

    names: tuple[Reference, ...] = ()
    options: ImageOptions = field(default_factory=ImageOptions)


class PushBy(StrEnum):
    """What a registry is to know a pushed image by: its tags, or its digest alone."""

    TAG = "tag"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class PushOutput:
    """`type=image,push=true`: the same, and sent to the registries of all its names.

    With `insecure` these may speak plain http or show any certificate.
    """

    names: tuple[Reference, ...] = ()
    options: ImageOptions = field(default_factory=ImageOptions)
    by: PushBy = PushBy.TAG
    insecure: bool = False


Output = OciOutput | OciArchiveOutput | DockerOutput | LocalOutput | TarOutput | ImageOutput | PushOutput
ImageKind = OciOutput | OciArchiveOutput | DockerOutput | ImageOutput | PushOutput
"""The outputs that hold an image and not only its files."""
