"""`pybuild copy SRC DST`: an image from anywhere to anywhere, without a name in the store on the way."""

from __future__ import annotations

from builder.commands.arguments import read_media_types, read_platform
from builder.commands.caller import Caller, store_root
from builder.commands.connection import Connection, access_of, registries_of
from builder.commands.line import Line
from builder.commands.lookup import IN_STORE, TRANSPORTS, find_named
from builder.commands.progress import shown
from builder.declare import replace
from builder.errors import ImageError, UsageError
from builder.oci.destination import Destination, ToDockerArchive, ToOciArchive, open_destination
from builder.oci.open import open_source
from builder.oci.source import ImageSource
from builder.stages.carry import Means, Wish, carry, carry_all
from builder.stages.stock import Stock, StockedSource
from builder.store import Store
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.event import Emit, Note
from builder.values.output import Stream


def run(line: Line, caller: Caller) -> int:
    """Copy, and print the digest that the image has at its destination. Raises UsageError, ImageError, StoreError."""
    destination = open_destination(line.word("dst"), caller.directory, Stream(_stdout(caller)))
    to_stdout = isinstance(destination, ToDockerArchive | ToOciArchive) and isinstance(destination.file, Stream)
    if to_stdout and caller.stdout.isatty():
        raise UsageError("an archive is not written to a terminal", hint="name a file, or redirect standard output")
    wish = Wish(read_platform(line.text("platform")), read_media_types(line.text("format")))
    if line.flag("all") and wish != Wish():
        raise UsageError(
            "--all copies everything as it is: neither --platform nor --format goes with it", hint="leave one out"
        )
    with shown(caller, line.flag("quiet")) as emit, Store.open(store_root(line.text("root"), caller)) as store:
        source = _source(line.word("src"), line, caller, store, emit)
        means = Means(store, emit, _access(line, "dest", caller))
        digest = _copied(source, destination, None if line.flag("all") else wish, means)
    if not to_stdout:
        caller.say([str(digest)])
    return 0


def _copied(source: ImageSource, destination: Destination, wish: Wish | None, means: Means) -> Digest:
    return carry_all(source, destination, means) if wish is None else carry(source, destination, wish, means)


def _stdout(caller: Caller) -> int:
    try:
        return caller.stdout.fileno()
    except (OSError, ValueError):  # closed; only who writes there must know
        return -1


def _source(text: str, line: Line, caller: Caller, store: Store, emit: Emit) -> ImageSource:
    """A transport's image; without one the store's by this name, else the registry's, as FROM has it."""
    if not text.startswith((*TRANSPORTS, "/", "./", "../")):
        try:
            found = find_named(text, store)
            stock = Stock((), store, access_of(replace(Connection.of(line), creds=None), caller), emit)
            return StockedSource(found.title, found.manifest, store, stock)
        except ImageError:
            if text.startswith(IN_STORE):
                raise
    return open_source(
        text,
        store.blobs.temporary,
        directory=caller.directory,
        access=_access(line, "src", caller),
        tell=lambda note: emit(Note(note)),
    )


def _access(line: Line, side: str, caller: Caller) -> Access:
    """The way to one side's registry; its login is never sent to the other's. Raises UsageError."""
    both = Connection.of(line)
    own = line.text(f"{side}_creds")
    if own is not None:
        both = replace(both, creds=own)
    elif side == "src" and both.creds is not None and line.text("dest_creds") is None and _are_two(line):
        raise UsageError("--creds: two registries are named, and a login is for one", hint="--src-creds, --dest-creds")
    return access_of(both, caller, (line.word("src" if side == "src" else "dst"),))


def _are_two(line: Line) -> bool:
    """Whether source and destination are in two registries; a source that the store has is not asked about."""
    return len(registries_of((line.word("src"), line.word("dst")))) > 1
