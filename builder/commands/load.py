"""`pybuild load`: every image of an archive or a layout taken into the store, under the names that it has there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.commands.arguments import bad, read_platform
from builder.commands.caller import Caller, store_root
from builder.commands.line import Line
from builder.commands.progress import shown
from builder.declare import replace
from builder.errors import ImageError, UsageError
from builder.oci.contents import Packed, contents_of
from builder.oci.verify import write_error
from builder.stages.images import build_platform
from builder.stages.intake import Taken, take_in
from builder.stages.transfer import wanted_image
from builder.store import Store
from builder.store.files import no_space_for
from builder.values.event import Emit, Event, Transfer
from builder.values.platform import Platform

_STDIN = "standard input"
_PIECE_BYTES = 1 << 20
_LIMIT_BYTES = 200 << 30  # a stream that never ends must not fill the disk of a machine that could hold it


def run(line: Line, caller: Caller) -> int:
    """Load, and print a line for each name (or digest) as docker does. Raises UsageError, ImageError, StoreError."""
    text = line.text("input")
    if text == "":
        raise bad("-i/--input", "the file is empty", "-i FILE")
    if text in (None, "-") and caller.stdin.isatty():
        raise UsageError("there is nothing to load: standard input is a terminal", hint="-i FILE, or < FILE")
    platform = read_platform(line.text("platform"))
    lines: list[str] = []
    try:
        with (
            shown(caller, line.flag("quiet")) as emit,
            Store.open(store_root(line.text("root"), caller)) as store,
            _input(text, caller, store) as (path, name),
        ):
            for packed in contents_of(path, name, platform or build_platform(), store.blobs.temporary):
                lines += _said(_taken(packed, platform, store, _as_loads(emit)))
    finally:  # what was loaded before an error is there
        caller.say(lines)
    return 0


def _taken(packed: Packed, platform: Platform | None, store: Store, emit: Emit) -> Taken:
    image = wanted_image(packed.source, platform, emit)
    return take_in(packed.source, image, packed.names_of(image), store, emit)


def _as_loads(emit: Emit) -> Emit:
    """Nothing of an archive is pulled: its transfers are called loads."""

    def relabelled(event: Event) -> None:
        emit(replace(event, verb="load") if isinstance(event, Transfer) else event)

    return relabelled


def _said(taken: Taken) -> list[str]:
    """As `docker load` words it: scripts read the names from these lines."""
    return [f"Loaded image: {name.familiar}" for name in taken.names] or [f"Loaded image ID: {taken.digest}"]


@contextmanager
def _input(text: str | None, caller: Caller, store: Store) -> Iterator[tuple[Path, str]]:
    """A path that can be read in any order, and what to call it; a stream is kept in a file meanwhile."""
    if text is None or text == "-":
        descriptor, name = caller.stdin.fileno(), _STDIN
    else:
        path = caller.directory / text
        if path.is_dir() or _is_regular_or_missing(path):
            yield path, text
            return
        descriptor, name = _open(path, text), text  # a pipe of the shell's <(…)
    again = Path(f"/proc/self/fd/{descriptor}")
    at_start = stat.S_ISREG(os.fstat(descriptor).st_mode) and os.lseek(descriptor, 0, os.SEEK_CUR) == 0
    if at_start and os.access(again, os.R_OK):  # it may be a file that another user has opened for us
        yield again, name
        return
    spool = store.blobs.temporary()
    try:
        _spool(descriptor, spool, name)
        yield spool, name
    finally:
        spool.unlink(missing_ok=True)


def _open(path: Path, name: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ImageError(f"{name} cannot be read: {error.strerror}", hint="check the path and its rights") from error


def _is_regular_or_missing(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True  # said by who opens it


def _spool(descriptor: int, path: Path, name: str) -> None:
    """All of a stream in a file. Raises ImageError past the limit, StoreError."""
    total = 0
    try:
        with open(path, "xb", buffering=0) as out:
            while piece := os.read(descriptor, _PIECE_BYTES):
                total += len(piece)
                if total > _LIMIT_BYTES:
                    raise ImageError(
                        f"{name} holds more than {_LIMIT_BYTES >> 30} GiB", hint="it is no archive of images"
                    )
                out.write(piece)
    except OSError as error:
        raise no_space_for(name, error) or write_error(error, path) from error
    if not total:
        raise ImageError(f"{name} is empty", hint="give an archive: pybuild load -i FILE, or < FILE")
