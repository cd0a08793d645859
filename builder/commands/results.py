"""The small files that a build leaves for scripts: --iidfile and --metadata-file.

Both are removed before the build, so that a script never reads what an earlier one left, and are written whole or not
at all. Keys of the metadata as buildx names them (util/metadata, exptypes of BuildKit).
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

from builder.commands.caller import Caller
from builder.declare import dataclass
from builder.errors import StoreError, UsageError
from builder.values.image import Descriptor, Image
from builder.values.reference import Reference


@dataclass(frozen=True, slots=True)
class ResultFiles:
    """Where the image id and the metadata go; None where nobody asked."""

    image_id: Path | None
    metadata: Path | None


def prepare(image_id: str | None, metadata: str | None, caller: Caller) -> ResultFiles:
    """Check that the files can be there and remove old ones. Raises UsageError."""
    return ResultFiles(prepare_file("--iidfile", image_id, caller), prepare_file("--metadata-file", metadata, caller))


def write(files: ResultFiles, image: Image, names: tuple[Reference, ...]) -> None:
    """Write what was asked for. Raises StoreError."""
    if files.image_id is not None:
        write_file(files.image_id, str(image.config_descriptor.digest).encode())
    if files.metadata is not None:
        write_file(files.metadata, metadata_json(image, names))


def metadata_json(image: Image, names: tuple[Reference, ...]) -> bytes:
    """The metadata document."""
    document: dict[str, object] = {
        "containerimage.config.digest": str(image.config_descriptor.digest),
        "containerimage.descriptor": _descriptor(image.manifest),
        "containerimage.digest": str(image.manifest.digest),
    }
    if names:
        document["image.name"] = ",".join(str(name) for name in names)
    return json.dumps(document, indent=2).encode() + b"\n"


def _descriptor(descriptor: Descriptor) -> dict[str, object]:
    fields: dict[str, object] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    if descriptor.annotations:
        fields["annotations"] = dict(descriptor.annotations)
    return fields


def prepare_file(option: str, text: str | None, caller: Caller) -> Path | None:
    """The path of one file that `option` names, an old one removed; None where nobody asked. Raises UsageError."""
    if text is None:
        return None
    path = Path(os.path.realpath(caller.directory / text))
    if not text or path.is_dir():
        raise UsageError(f"{option}: {text!r} is not a file's path", hint=f"it is written {option} FILE")
    if not path.parent.is_dir():
        raise UsageError(
            f"{option}: there is no directory {path.parent}", hint=f"make it first: mkdir -p {path.parent}"
        )
    try:
        if _is_regular(path):
            path.unlink()
    except OSError as error:
        raise UsageError(f"{option}: cannot replace {path}: {error.strerror}") from error
    return path


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def write_file(path: Path, data: bytes) -> None:
    """Write to a file beside it and rename; what is no regular file (/dev/stderr, a pipe) is written as it is."""
    try:
        if path.exists() and not _is_regular(path):
            path.write_bytes(data)
            return
        temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
        try:
            with temporary.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        hint = "make room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
        raise StoreError(f"cannot write {path}: {error.strerror}", hint=hint) from error
