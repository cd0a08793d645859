"""An image looked at without being unpacked: what is at a path, what a directory holds, what a file says."""

from __future__ import annotations

from collections.abc import Iterator

from builder.errors import ContextError, ImageError
from builder.lang.suggest import nearest
from builder.stages.borrow import Borrowed
from builder.tree.reader import LayerReader
from builder.tree.safe import shown
from builder.tree.topdown import TopDown, Unclear
from builder.tree.view import Located, View, find
from builder.values.entry import Entry, Kind
from builder.values.image import Image, Layer
from builder.values.stack import Stack


class Look:
    """One image, looked at. `name` is what people call it, `names` are all that it has in the store. Paths are as in
    Entry, `b""` is the root."""

    def __init__(self, name: str, image: Image, layers: Borrowed, names: tuple[str, ...] = ()) -> None:
        self.name = name
        self.names = names
        self.image = image
        self._layers = layers
        self._view: View | None = None

    def view(self) -> View:
        """All of the image's files. Raises ImageError, StoreError."""
        if self._view is None:
            self._view = self._layers.view(Stack.of(self.image.layers))
        return self._view

    def find(self, path: bytes, follow_last: bool = True) -> Located:
        """What a name leads to inside of the image. No more layers are read than it takes, from the top.

        Raises ImageError where there is nothing, with the nearest names as a hint.
        """
        try:
            located = self._find(path, follow_last)
        except ContextError as error:
            raise ImageError(f"{self.name}: {error.message}", hint=error.hint) from None
        if located is None:
            raise self._missing(path)
        return located

    def lead(self, path: bytes) -> Located | None:
        """What a name leads to, or None: there is nothing, or links that form a loop."""
        try:
            return self._find(path, follow_last=True)
        except ContextError:
            return None

    def small(self, path: bytes, limit_bytes: int) -> bytes:
        """The beginning of a file's content; b"" where there is no file."""
        located = self.lead(path)
        data = b""
        for piece in self.content(located) if located is not None and located.entry.kind is Kind.FILE else ():
            data += piece
            if len(data) >= limit_bytes:
                break
        return data[:limit_bytes]

    def content(self, located: Located) -> Iterator[bytes]:
        """A file's content, piece by piece; the layer is at hand when this returns. Raises ImageError, StoreError,
        of damage to the file only at its end."""
        held = self._layers.ensure(self.image.layers[located.layer])
        return self._pieces(held, located.content_of)

    def _pieces(self, held: Layer, entry: Entry) -> Iterator[bytes]:
        if entry.size:
            with self._layers.reading(held) as blob:
                yield from LayerReader(blob, held.descriptor.media_type).pieces(entry)

    def _find(self, path: bytes, follow_last: bool) -> Located | None:
        if self._view is None:
            layers = self.image.layers
            try:
                found = find(TopDown(len(layers), lambda at: self._layers.index(layers[at])).get, path, follow_last)
                if found is None or found.entry.path:
                    return found
            except Unclear:
                pass
        return self.view().find(path, follow_last)

    def _missing(self, path: bytes) -> ImageError:
        """Which part of the way is missing, and what there is instead."""
        view = self.view()
        parts = [part for part in path.split(b"/") if part not in (b"", b".")]
        good = 0
        while good < len(parts) and view.find(b"/".join(parts[: good + 1])) is not None:
            good += 1
        parent = b"/".join(parts[:good])
        there, broken = view.find(parent), view.find(b"/".join(parts[: good + 1]), follow_last=False)
        message = f"there is no /{shown(b'/'.join(parts))} in {self.name}"
        if broken is not None and good < len(parts):
            target = shown(broken.entry.link)
            return ImageError(f"{message}: /{shown(broken.entry.path)} is a link to {target}, where nothing is")
        if there is None or there.entry.kind is not Kind.DIR or good == len(parts):
            return ImageError(f"{message}: /{shown(parent)} is no directory")
        near = nearest(_text(parts[good]), map(_text, view.children(there.entry.path)))
        if near is None:
            return ImageError(message, hint=f"`pybuild ls {self.name}:/{shown(parent)}` shows what there is")
        return ImageError(message, hint=f"did you mean /{shown(parent) + '/' if parent else ''}{near}?")


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
