"""Looking for given bytes in the tar of a layer while it is packed, or when it is read again.

One pass over blocks of any size; what lies across two of them is found too. What the bytes mean is not known here: a
layer's index tells whose they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from builder.kernel.syscalls import find
from builder.tree.compress import decompressor
from builder.tree.safe import shown
from builder.values.entry import Entry

_BLOCK_BYTES: Final = 1 << 20


class Hit(NamedTuple):
    """The first place where something was found: its number among what was wanted, and where in the tar (bytes)."""

    number: int
    offset: int


class Search:
    """Takes the bytes of a tar one block after the other, and remembers where each wanted word is first."""

    def __init__(self, wanted: Sequence[bytes]) -> None:
        self._left = dict(enumerate(wanted))
        self._overlap = max(map(len, wanted), default=1) - 1
        self._tail = b""
        self._passed = 0
        self.hits: list[Hit] = []

    def feed(self, block: memoryview) -> None:
        """Look at the next block, which must be writable memory; it is not changed."""
        if not self._left:
            return
        seam = self._tail + bytes(block[: self._overlap])
        for number, word in list(self._left.items()):
            # The seam is short, and the block is searched by the C library: four times as fast as bytes.find.
            at = seam.find(word) - len(self._tail)
            if at < -len(self._tail):
                at = find(block, word)
                if at < 0:
                    continue
            self.hits.append(Hit(number, self._passed + at))
            del self._left[number]
        self._passed += len(block)
        self._tail = (seam if len(block) < self._overlap else bytes(block[len(block) - self._overlap :]))[
            -self._overlap :
        ]


def search_blob(blob: Path, media_type: str, wanted: Sequence[bytes]) -> list[Hit]:
    """Look through a layer that was packed before. Raises ImageError for a damaged one, OSError."""
    search = Search(wanted)
    with open(blob, "rb") as raw, decompressor(media_type, raw) as tar:
        while data := tar.read(_BLOCK_BYTES):
            search.feed(memoryview(bytearray(data)))
    return search.hits


def place_of(hit: Hit, word: bytes, entries: Sequence[Entry]) -> str:
    """Whose bytes they are, as one says it: the path of the file in the image, or what of an entry has it."""
    for entry in entries:
        if 0 <= entry.offset <= hit.offset < entry.offset + entry.size:
            return f"/{shown(entry.path)}"
    for entry in entries:
        if word in entry.path:
            return f"the name of a file in /{_directory_of(entry.path)}"
        if word in entry.link:
            return f"the target of the link /{shown(entry.path)}"
        for name, value in entry.xattrs:
            if word in value or word in name.encode("utf-8", "surrogateescape"):
                return f"an extended attribute of /{shown(entry.path)}"
    return "the tar of the layer"


def _directory_of(path: bytes) -> str:
    return shown(path.rpartition(b"/")[0])
