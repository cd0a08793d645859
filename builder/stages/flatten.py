"""The files of an image as a directory or a tar, from its layers alone: no namespace, nothing unpacked on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from builder.errors import StoreError
from builder.stages.layers import Layers
from builder.tree.flatten import Content, flattened
from builder.tree.reader import LayerReader
from builder.values.entry import Entry, Kind
from builder.values.image import Image
from builder.values.stack import Stack

_WORDS = {Kind.FIFO: "named pipe", Kind.CHAR: "character device", Kind.BLOCK: "block device", Kind.SOCKET: "socket"}


def write_files_of(image: Image, target: Path, layers: Layers) -> Counter[Kind]:
    """Put the image's files into a directory; how many special files were left out. Raises StoreError, ImageError."""
    from builder.tree.flatten_local import write_files

    return write_files(_items(image, layers), str(target))


def write_tar_of(image: Image, out: BinaryIO, layers: Layers) -> None:
    """Write the image's files as one tar. Raises StoreError, ImageError, OSError where `out` takes no more."""
    from builder.tree.flatten import write_tar

    write_tar(_items(image, layers), out)


def left_out(counted: Counter[Kind]) -> str:
    """What was left out, for a note: "2 character devices and 1 named pipe"."""
    parts = [f"{count} {_WORDS[kind]}{'' if count == 1 else 's'}" for kind, count in sorted(counted.items())]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _items(image: Image, layers: Layers) -> Iterator[tuple[Entry, Content]]:
    stack = Stack.of(image.layers)
    held = layers.ensure_all(stack.layers)

    def read(number: int, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        layer = held[number]
        try:
            with layers.reading(layer):
                yield from LayerReader(layers.blob_path(layer), layer.descriptor.media_type).stream(entries)
        except OSError as error:  # of the store's disk; where the files go is not touched in here
            raise StoreError(f"cannot read layer {layer.descriptor.digest}: {error.strerror}") from error

    return flattened(layers.view(stack), read)
