"""`pybuild tag`: further names for an image of the store."""

from __future__ import annotations

from builder.commands.caller import Caller, store_root
from builder.commands.line import Line
from builder.commands.lookup import find_named, is_store, load, missing
from builder.errors import ImageError, UsageError
from builder.report.text import printable
from builder.store import Store
from builder.values.reference import Reference


def run(line: Line, caller: Caller) -> int:
    """Name the image. Raises UsageError, ImageError, StoreError; then no name has been given."""
    source, path = line.word("source"), store_root(line.text("root"), caller)
    targets = [_name(text) for text in line.texts("target")]
    if not is_store(path):
        raise missing(source, [])
    with Store.open(path) as store:
        found = find_named(source, store)
        if found.typed is None:  # with a name it is whole; without one it may have been pruned
            image = load(store, found.manifest)
            gone = [layer for layer in image.layers if not store.blobs.has(layer.descriptor.digest)]
            if gone:
                raise ImageError(f"{source}: {len(gone)} of its layers are gone", hint="build it again")
        for name in targets:
            store.images.tag(name, found.manifest)
    caller.say([printable(f"Tagged: {name.familiar}") for name in targets])
    return 0


def _name(text: str) -> Reference:
    try:
        name = Reference.parse(text)
    except ValueError as error:
        raise UsageError(f"{text!r} cannot be a name: {error}", hint="a name is [HOST[:PORT]/]NAME[:TAG]") from None
    if name.digest is not None:
        raise UsageError(f"{text!r} cannot be a name: it has a digest", hint="a name is [HOST[:PORT]/]NAME[:TAG]")
    return name
