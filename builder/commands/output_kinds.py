"""One `-o` as it is written → an `Output`, as buildx reads it.

Sources: buildx, build.ParseExports and its reference of --output; BuildKit's README, "Output".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from builder.commands.annotations import is_annotation, read_output_annotation
from builder.commands.arguments import bad
from builder.commands.fields import read_fields
from builder.errors import UsageError
from builder.lang.suggest import did_you_mean
from builder.values.compression import LEVELS, Compression
from builder.values.output import (
    Destination,
    DockerOutput,
    ImageOptions,
    ImageOutput,
    LocalOutput,
    MediaTypes,
    OciArchiveOutput,
    OciOutput,
    Output,
    PushBy,
    PushOutput,
    Stream,
    TarOutput,
)
from builder.values.reference import Reference

OPTION: Final = "-o/--output"
_FORM: Final = "-o DIR, -o -, or -o type=oci|docker|local|tar|image|registry|cacheonly[,dest=PATH][,KEY=VALUE...]"
_TRUE = frozenset(("1", "t", "true"))
_FALSE = frozenset(("0", "f", "false"))
STDOUT: Final = Stream(-1)
"""Standard output before it is known who calls."""

_OPTIONS = ("compression", "compression-level", "force-compression", "oci-mediatypes", "annotation.KEY", "name")
_PUSHED = ("push", "push-by-digest", "name-canonical", "registry.insecure")
_KEYS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "oci": ("dest", "tar", *_OPTIONS),
        "docker": ("dest", "tar", *_OPTIONS),
        "local": ("dest", "platform-split"),
        "tar": ("dest", "platform-split"),
        "image": (*_PUSHED, *_OPTIONS),
        "registry": (*_PUSHED, *_OPTIONS),
        "cacheonly": (),
    }
)
_REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "attestation-prefix": "attestations are not written; leave it out",
        "buildinfo": "it is not written; leave it out",
        "context": "an archive is a file: docker load -i FILE, or docker --context NAME load -i FILE",
        "dangling-name-prefix": "an image without a name is found by its digest; leave it out",
        "mode": "files that are there and are not in the image stay; leave it out",
        "prefer-nondist-layers": "foreign layers are never used; leave it out",
        "rewrite-timestamp": "times of files are kept as steps leave them; leave it out",
        "store": "every image is kept in the store; leave it out",
        "unpack": "an image is unpacked when a step needs it; leave it out",
    }
)
"""Keys of BuildKit that are not here, each with what to do instead; those of `_ASIDE` may say what is so anyway."""
_ASIDE: Final = MappingProxyType({"store": True, "unpack": False, "buildinfo": False, "prefer-nondist-layers": False})


def read_output(text: str) -> Output | None:
    """One `-o`; None for one that asks for nothing. Raises UsageError."""
    if text and "=" not in text and "," not in text:
        return TarOutput(STDOUT) if text == "-" else LocalOutput(Path(text))
    fields = read_fields(OPTION, text, _FORM)
    kind = fields.pop("type", "")
    if kind not in _MAKERS:
        what = f"type={kind} is not supported" if kind else "the type is missing"
        raise UsageError(f"{OPTION}: {what}", hint=did_you_mean(kind, _MAKERS, f"it is written {_FORM}"))
    asked = _Fields(kind, fields)
    output = _MAKERS[kind](asked)
    asked.end()
    return output


class _Fields:
    """The fields of one `-o`, taken one after the other until none is left."""

    def __init__(self, kind: str, values: dict[str, str]) -> None:
        self.kind = kind
        self._values = values

    def text(self, key: str) -> str:
        """The value, or "" where it is not there."""
        return self._values.pop(key, "")

    def truth(self, key: str, default: bool | None = None) -> bool | None:
        """The value as strconv.ParseBool of Go reads it; a key without a value is true, as in BuildKit."""
        text = self._values.pop(key, None)
        if text is None:
            return default
        if text.lower() not in _TRUE | _FALSE | {""}:
            raise bad(OPTION, f"{key}={text} is neither true nor false", f"{key}=true or {key}=false")
        return text.lower() not in _FALSE

    def annotations(self) -> list[tuple[str, str]]:
        """The fields that are annotations."""
        keys = [key for key in self._values if is_annotation(key)]
        return [(key, self._values.pop(key)) for key in keys]

    def end(self) -> None:
        """Raises UsageError for what has not been taken."""
        for key, value in self._values.items():
            if key in _ASIDE and value.lower() in (_TRUE if _ASIDE[key] else _FALSE):
                continue
            if key in _REFUSED:
                raise UsageError(f"{OPTION}: {key} is not supported", hint=_REFUSED[key])
            known = _KEYS[self.kind]
            there = f"type={self.kind} has {', '.join(known)}" if known else f"type={self.kind} has no keys"
            raise UsageError(
                f"{OPTION}: {key!r} is not a key of type={self.kind}", hint=did_you_mean(key, known, there)
            )


def _file(fields: _Fields) -> Destination:
    """Where one file goes; without `dest` that is standard output, as in buildx."""
    text = fields.text("dest")
    return STDOUT if text in ("", "-") else Path(text)


def _directory(fields: _Fields) -> Path:
    text = fields.text("dest")
    if text == "-":
        raise bad(OPTION, "a directory cannot go to standard output", f"type={fields.kind},dest=DIR")
    if not text:
        raise bad(OPTION, "dest is missing", f"type={fields.kind},dest=DIR")
    return Path(text)


def _oci(fields: _Fields) -> Output:
    """A tar when tar=true, else a directory; without `tar` the path decides (`.tar`, or `-`)."""
    tar = fields.truth("tar")
    names, options = _names(fields), _options(fields)
    destination = _file(fields) if tar is not False else _directory(fields)
    if isinstance(destination, Stream) or tar or (tar is None and destination.name.endswith(".tar")):
        return OciArchiveOutput(destination, names, options)
    return OciOutput(destination, names, options)


def _docker(fields: _Fields) -> Output:
    """An archive; without `dest` the image where `docker load` would have put it, which here is the store.

    With tar=false BuildKit writes an OCI layout for this type too.
    """
    tar = fields.truth("tar", True)
    names, options = _names(fields), _options(fields)
    if not tar:
        return OciOutput(_directory(fields), names, options)
    text = fields.text("dest")
    if not text:
        return ImageOutput(names, options)
    return DockerOutput(STDOUT if text == "-" else Path(text), names, options)


def _local(fields: _Fields) -> Output:
    by_platform = bool(fields.truth("platform-split", False))
    return LocalOutput(_directory(fields), by_platform)


def _tar(fields: _Fields) -> Output:
    if fields.truth("platform-split", False):
        raise UsageError(f"{OPTION}: platform-split is for type=local", hint="the tar is of one platform; leave it out")
    return TarOutput(_file(fields))


def _image(fields: _Fields) -> Output:
    push, by_digest = fields.truth("push", fields.kind == "registry"), fields.truth("push-by-digest", False)
    insecure = bool(fields.truth("registry.insecure", False))
    fields.truth("name-canonical")  # every image of the store is found by its digest
    names, options = _names(fields), _options(fields)
    if by_digest and not names:
        raise bad(
            OPTION, "push-by-digest needs the name", "type=image,name=REGISTRY/NAME,push-by-digest=true,push=true"
        )
    if not push:
        return ImageOutput(() if by_digest else names, options)
    return PushOutput(names, options, PushBy.DIGEST if by_digest else PushBy.TAG, insecure)


def _nothing(_: _Fields) -> None:
    return None


_MAKERS: Final[Mapping[str, Callable[[_Fields], Output | None]]] = MappingProxyType(
    {
        "oci": _oci,
        "docker": _docker,
        "local": _local,
        "tar": _tar,
        "image": _image,
        "registry": _image,
        "cacheonly": _nothing,
    }
)


def _names(fields: _Fields) -> tuple[Reference, ...]:
    names = []
    for text in fields.text("name").split(","):
        if not text.strip():
            continue
        try:
            name = Reference.parse(text.strip())
        except ValueError as error:
            raise bad(OPTION, str(error), "name=NAME[:TAG], several in quotes: '\"name=A,B\"'") from None
        if name.digest is not None:
            raise bad(OPTION, f"name={text} has a digest, which only the build can find", "name=NAME[:TAG]")
        names.append(name)
    return tuple(dict.fromkeys(names))


def _options(fields: _Fields) -> ImageOptions:
    media_types = MediaTypes.OCI if fields.truth("oci-mediatypes", True) else MediaTypes.DOCKER
    compression = _compression(fields.text("compression"))
    if media_types is MediaTypes.DOCKER and compression is Compression.ZSTD:
        raise UsageError(
            f"{OPTION}: compression=zstd does not go with oci-mediatypes=false: Docker's media types know only gzip",
            hint="leave out one of them",
        )
    return ImageOptions(
        compression=compression,
        level=_level(fields.text("compression-level"), compression),
        force=bool(fields.truth("force-compression", False)),
        annotations=tuple(read_output_annotation(key, value) for key, value in fields.annotations()),
        media_types=media_types,
    )


def _compression(text: str) -> Compression | None:
    if not text:
        return None
    try:
        return Compression({"uncompressed": "none"}.get(text, text))
    except ValueError:
        raise bad(OPTION, f"compression={text} is not supported", "compression=gzip, zstd or none") from None


def _level(text: str, compression: Compression | None) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 3:
        raise bad(OPTION, f"compression-level={text} is not a number", "compression-level=NUMBER")
    if compression is not None:
        check_level(int(text), compression)
    return int(text)


def check_level(level: int, compression: Compression) -> None:
    """Raises UsageError for a level that the compression does not have."""
    levels = LEVELS[compression]
    if level not in levels:
        there = f"{levels.start} to {levels.stop - 1}" if levels else "none; leave it out"
        what = f"compression-level={level} is not a level of {compression}"
        raise UsageError(f"{OPTION}: {what}", hint=f"there are {there}")
