"""Single paths of a stack of layers, looked for from the top: layers below the one that has a path stay unread.

The answers are those of the merged `View`. A layer in which something is beside its own directories (an entry without
its parent, a hard link to a file of a lower layer) can only be understood together with those below it; then there is
no answer here, and who asks makes the view. Sources as of `view`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from builder.tree.view import Located
from builder.values.entry import Entry, Kind

_NO_FILE = (Kind.WHITEOUT, Kind.OPAQUE)
_ROOT = Located(Entry(b"", Kind.DIR, 0o755), 0, b"")  # every stack has one; who asks for more of it makes the view


class Unclear(Exception):
    """These layers must be merged to be understood. Never leaves who asks."""


class TopDown:
    """The paths of `count` layers; `index` gives the entries of the layer of a number (0 is the bottom)."""

    def __init__(self, count: int, index: Callable[[int], Sequence[Entry]]) -> None:
        self._count = count
        self._index = index
        self._read: dict[int, _Rows] = {}

    def get(self, path: bytes) -> Located | None:
        """What is at this very path, as `View.get` has it; all directories on the way must have been asked for and
        been there. Of the root it only tells that it is a directory. Raises Unclear."""
        if not path:
            return _ROOT
        for number in range(self._count - 1, -1, -1):
            rows = self._rows(number)
            row = rows.entries.get(path)
            if row is not None:
                return _located(row, path, number, rows.entries)
            if rows.hides(path):
                break
        return None

    def _rows(self, number: int) -> _Rows:
        rows = self._read.get(number)
        if rows is None:
            rows = self._read[number] = _Rows(self._index(number))
        return rows


class _Rows:
    """One layer: its entries by their paths, and what it hides of those below."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = {entry.path: entry for entry in entries if entry.kind not in _NO_FILE}
        self._gone = {entry.path for entry in entries if entry.kind is Kind.WHITEOUT}
        self._opaque = {entry.path for entry in entries if entry.kind is Kind.OPAQUE}
        directories = {path for path, entry in self.entries.items() if entry.kind is Kind.DIR} | {b""}
        parents = {path.rpartition(b"/")[0] for path in (*self.entries, *self._gone)} | self._opaque
        plain = parents <= directories and b"" not in self._gone and len(self.entries) == _count(entries)
        if not plain or not all(map(self._is_known, entries)):
            raise Unclear

    def _is_known(self, entry: Entry) -> bool:
        """Whether a hard link is another name of something in this very layer, as builders write them."""
        if entry.kind is not Kind.HARDLINK:
            return True
        target = self.entries.get(entry.link)
        return target is not None and target.kind not in (Kind.HARDLINK, Kind.DIR)

    def hides(self, path: bytes) -> bool:
        """Whether what lower layers have at this path, which is not here, is not seen."""
        if path in self._gone:
            return True
        for parent in _above(path):
            if parent in self._gone or parent in self._opaque:
                return True
            row = self.entries.get(parent)
            if row is not None and row.kind is not Kind.DIR:
                return True
        return False


def _count(entries: Sequence[Entry]) -> int:
    """How many entries there are; more than paths, where a path comes twice."""
    return sum(entry.kind not in _NO_FILE for entry in entries)


def _above(path: bytes) -> Iterator[bytes]:
    while path:
        path = path.rpartition(b"/")[0]
        yield path


def _located(row: Entry, path: bytes, number: int, entries: dict[bytes, Entry]) -> Located:
    if row.kind is not Kind.HARDLINK:
        return Located(row, number, path)
    return Located(entries[row.link]._replace(path=path), number, row.link)
