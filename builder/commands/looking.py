"""What the commands that look at images share: which images are meant, and the way to their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from builder.commands.arguments import read_platform
from builder.commands.caller import Caller, store_root
from builder.commands.connection import Connection, access_of
from builder.commands.line import Line
from builder.commands.lookup import TRANSPORTS, familiar, find_named, host_platform, is_store, load, missing
from builder.commands.progress import shown
from builder.declare import dataclass
from builder.errors import ImageError
from builder.oci.open import open_source
from builder.stages.borrow import Borrowed
from builder.stages.images import FoundImage
from builder.stages.look import Look
from builder.stages.stock import Stock, StockedSource
from builder.store import Store
from builder.values.image import Image
from builder.values.platform import Platform


@dataclass(frozen=True, slots=True)
class Looking:
    """Images that are being looked at, in the order in which they were named."""

    looks: tuple[Look, ...]
    _progress: ExitStack

    def settle(self) -> None:
        """All is fetched: leave the terminal to the results."""
        self._progress.close()


@contextmanager
def looking(texts: Sequence[str], line: Line, caller: Caller) -> Iterator[Looking]:
    """The images that these texts name, to be looked at inside the block.

    On a terminal what is fetched is shown on standard error, until `settle`. A store that is not there is not made.
    Raises ImageError, StoreError, UsageError.
    """
    root = store_root(line.text("root"), caller)
    asked = read_platform(line.text("platform"))
    with ExitStack() as things:
        store = things.enter_context(Store.open(root)) if is_store(root) else None
        progress = things.enter_context(ExitStack())
        emit = progress.enter_context(shown(caller, quiet=not caller.live))
        borrowed = things.enter_context(Borrowed(store, emit))

        def look(text: str) -> Look:
            if text.startswith(TRANSPORTS):
                outside = [name for name in texts if name.startswith(TRANSPORTS)]
                access = access_of(Connection.of(line), caller, outside)
                source = open_source(text, borrowed.temporary, directory=caller.directory, access=access)
                image = source.load(asked or host_platform())
                borrowed.learn(FoundImage(image, source))
                return Look(source.name, suited(source.name, image, asked), borrowed)
            if store is None:
                raise missing(text, [])
            found = find_named(text, store)
            image = load(store, found.manifest, asked)
            if any(not store.blobs.has(layer.descriptor.digest) for layer in image.layers):
                stock = Stock((), store, access_of(Connection.of(line), caller), emit)
                borrowed.learn(FoundImage(image, StockedSource(found.title, found.manifest, store, stock)))
            names = tuple(familiar(each.name) for each in found.names)
            return Look(found.title, suited(found.title, image, asked), borrowed, names)

        looks = {text: look(text) for text in dict.fromkeys(texts)}
        yield Looking(tuple(looks[text] for text in texts), progress)


def suited(name: str, image: Image, asked: Platform | None) -> Image:
    """The image, unless it is a lone one for another platform than was asked for. Raises ImageError."""
    there = image.config.platform
    if asked is not None and (there.os, there.architecture) != (asked.os, asked.architecture):
        raise ImageError(f"{name}: there is no image for {asked}", hint=f"there is one for {there} only")
    return image
