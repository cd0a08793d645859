"""Where an archive goes: to a file that appears when it is whole, or to what cannot be replaced: standard output, a
pipe or a device gets the bytes as they come.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from builder.errors import StoreError
from builder.values.output import Stream


def send_to(destination: Path | Stream, write: Callable[[Path | BinaryIO], None]) -> None:
    """Have `write` write one archive to a path, or piece by piece to a stream. Raises StoreError."""
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
    """Whether a path names a pipe or a device, such as /dev/stdout, which a file must not take the place of."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _to_stream(descriptor: int, what: str, write: Callable[[Path | BinaryIO], None]) -> None:
    try:
        with open(descriptor, "wb", closefd=False) as stream:
            write(stream)
    except OSError as error:
        raise _unwritable(error, what) from error


def _unwritable(error: OSError, what: str) -> StoreError:
    if isinstance(error, BrokenPipeError):
        return StoreError(
            f"{what} was closed before all of the image was written", hint="whoever reads it has to read to its end"
        )
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = "make room there" if is_full else "choose a place that you may write to"
    return StoreError(f"cannot write the image to {what}: {error.strerror}", hint=hint)
