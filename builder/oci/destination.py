"""Where an image is to go, by what a person types: the transport in front decides. Nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from builder.declare import dataclass
from builder.errors import ImageError, UsageError
from builder.lang.suggest import nearest
from builder.oci.open import path_and_tag
from builder.values.output import Stream
from builder.values.reference import Reference

STORE = "store:"
_OTHERS = {
    "containers-storage": "pybuild copy SRC docker-archive:-:NAME:TAG | podman load",
    "dir": "oci:DIR:TAG is an image in a directory",
    "docker-daemon": "pybuild copy SRC docker-archive:-:NAME:TAG | docker load",
}


@dataclass(frozen=True, slots=True)
class ToRegistry:
    """A name in a registry."""

    name: Reference

    def __str__(self) -> str:
        return f"docker://{self.name.familiar}"


@dataclass(frozen=True, slots=True)
class ToStore:
    """A name in pybuild's store."""

    name: Reference

    def __str__(self) -> str:
        return f"store:{self.name.familiar}"


@dataclass(frozen=True, slots=True)
class ToLayout:
    """An OCI layout in a directory; `tag` is what it calls the image."""

    directory: Path
    tag: str | None = None

    def __str__(self) -> str:
        return f"oci:{self.directory}" + (f":{self.tag}" if self.tag else "")


@dataclass(frozen=True, slots=True)
class ToOciArchive:
    """The same in one tar."""

    file: Path | Stream
    tag: str | None = None

    def __str__(self) -> str:
        return f"oci-archive:{self.file}" + (f":{self.tag}" if self.tag else "")


@dataclass(frozen=True, slots=True)
class ToDockerArchive:
    """What `docker load` takes."""

    file: Path | Stream
    name: Reference | None = None

    def __str__(self) -> str:
        return f"docker-archive:{self.file}" + (f":{self.name.familiar}" if self.name else "")


Destination = ToRegistry | ToStore | ToLayout | ToOciArchive | ToDockerArchive


def open_destination(text: str, directory: Path, stdout: Stream) -> Destination:
    """The destination that `text` names; relative paths start at `directory`, a file `-` is `stdout`.

    `docker://NAME`, `store:NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME[:TAG]]`.
    Raises UsageError, ImageError for what cannot be understood.
    """
    for prefix, opener in _OPENERS.items():
        if text.startswith(prefix):
            return opener(text.removeprefix(prefix), directory, stdout)
    raise _no_transport(text)


def _no_transport(text: str) -> UsageError:
    written, colon, rest = text.partition(":")
    if colon and written in _OTHERS:
        return UsageError(f"{written}: is a transport of skopeo's and not of pybuild's", hint=_OTHERS[written])
    known = [prefix.rstrip(":/") for prefix in _OPENERS]
    near = written if written in known else nearest(written, known)
    if colon and near is not None:
        meant = f"{near}://{rest.lstrip('/')}" if near == "docker" else f"{near}:{rest}"
        return UsageError(f"there is no transport {written!r}", hint=f"did you mean {meant}?")
    if text.startswith(("/", "./", "../")):
        hint = f"oci:{text} is an OCI layout in a directory, oci-archive:{text} and docker-archive:{text} are tars"
    else:
        hint = f"docker://{text} is in a registry, store:{text} is here; oci:DIR:TAG and docker-archive:FILE are files"
    return UsageError(f"{text}: a destination needs its transport in front", hint=hint)


def _registry(text: str, directory: Path, stdout: Stream) -> ToRegistry:  # noqa: ARG001 - one signature for all
    name = _reference(text, "docker://")
    if name.digest is not None:
        raise UsageError(f"docker://{text}: a digest cannot be chosen", hint="it is written docker://NAME[:TAG]")
    return ToRegistry(name)


def _store(text: str, directory: Path, stdout: Stream) -> ToStore:  # noqa: ARG001
    name = _reference(text, STORE)
    if name.digest is not None:
        raise UsageError(f"{STORE}{text}: a digest cannot be chosen", hint="it is written store:NAME[:TAG]")
    return ToStore(name)


def _layout(text: str, directory: Path, stdout: Stream) -> ToLayout:  # noqa: ARG001
    path, tag = path_and_tag(text, directory)
    return ToLayout(path, tag)


def _oci_archive(text: str, directory: Path, stdout: Stream) -> ToOciArchive:
    file, tag = _file_and_tag(text, directory, stdout)
    return ToOciArchive(file, tag)


def _docker_archive(text: str, directory: Path, stdout: Stream) -> ToDockerArchive:
    file, name = _file_and_tag(text, directory, stdout)
    if name is None:
        return ToDockerArchive(file)
    reference = _reference(name, f"docker-archive:{file}:")
    if reference.tag is None or reference.digest is not None:
        raise UsageError(
            f"docker-archive:{text}: names in an archive have a tag and no digest",
            hint="it is written docker-archive:FILE:NAME:TAG",
        )
    return ToDockerArchive(file, reference)


def _file_and_tag(text: str, directory: Path, stdout: Stream) -> tuple[Path | Stream, str | None]:
    head, _, tag = text.partition(":")
    return (stdout, tag or None) if head == "-" else path_and_tag(text, directory)


def _reference(text: str, prefix: str) -> Reference:
    try:
        return Reference.parse(text)
    except ValueError as error:
        raise ImageError(f"{prefix}{text}: {error}", hint="a name is [HOST[:PORT]/]NAME[:TAG]") from error


_OPENERS: Mapping[str, Callable[[str, Path, Stream], Destination]] = {
    "docker://": _registry,
    STORE: _store,
    "oci:": _layout,
    "oci-archive:": _oci_archive,
    "docker-archive:": _docker_archive,
}
