"""`pybuild pull NAME...`: images of registries, layouts and archives made whole in the store, and named there."""

from __future__ import annotations

from builder.commands.arguments import read_platform
from builder.commands.caller import Caller, store_root
from builder.commands.connection import Connection, access_of
from builder.commands.line import Line
from builder.commands.progress import shown
from builder.errors import UsageError
from builder.oci.open import open_source
from builder.stages.intake import Taken, pull
from builder.store import Store
from builder.values.event import Note


def run(line: Line, caller: Caller) -> int:
    """Pull, and print the digest of each image on standard output. Raises UsageError, ImageError, StoreError."""
    names = line.texts("name")
    for text in names:
        if text.startswith("store:"):
            raise UsageError(f"{text} is in the store already", hint="pull NAME, docker://NAME, oci:DIR[:TAG], …")
    platform = read_platform(line.text("platform"))
    access = access_of(Connection.of(line), caller, names)
    taken: list[Taken] = []
    try:
        with shown(caller, line.flag("quiet")) as emit, Store.open(store_root(line.text("root"), caller)) as store:
            for text in names:
                source = open_source(
                    text,
                    store.blobs.temporary,
                    directory=caller.directory,
                    access=access,
                    tell=lambda note: emit(Note(note)),
                )
                taken.append(pull(source, platform, store, emit))
    finally:  # what has arrived before an error is there
        caller.say([str(each.digest) for each in taken])
    return 0
