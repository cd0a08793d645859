"""What a directory of a context held when it was listed, and which digests of its files are known by now.

A context may have hundreds of thousands of files, and their rows are kept for the whole build. So what only changes of
a file are seen by stands in columns of numbers, and a digest is 32 bytes of one long row of bytes.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection
from operator import itemgetter

from builder.errors import ContextError
from builder.tree.safe import shown
from builder.tree.scan import Scanned
from builder.values.entry import Entry

_DIGEST_BYTES = 32
_UNKNOWN = bytes(_DIGEST_BYTES)
_path_of = itemgetter(0)


class Listing:
    """The entries of one directory, sorted; what else is known of each has the same place in its column."""

    __slots__ = ("_ctimes_ns", "_digests", "_inodes", "entries", "shared")

    def __init__(self, found: Collection[Scanned]) -> None:
        self.entries = [one.entry for one in found]
        # Path → device and inode, of files that have several names.
        self.shared = {one.entry.path: (one.device, one.inode) for one in found if one.names > 1}
        self._ctimes_ns = array("q", [one.ctime_ns for one in found])
        self._inodes = array("Q", [one.inode for one in found])
        self._digests = bytearray(_DIGEST_BYTES * len(self.entries))

    def place_of(self, path: bytes) -> int:
        """The place of this path among the entries, -1 where it is not one of them."""
        at = bisect_left(self.entries, path, key=_path_of)
        return at if at < len(self.entries) and self.entries[at].path == path else -1

    def ctime_ns(self, at: int) -> int:
        """When the status of this entry changed last."""
        return self._ctimes_ns[at]

    def is_still(self, at: int, now: os.stat_result) -> bool:
        """Whether nothing of this file's status shows a change."""
        entry = self.entries[at]
        same = self._ctimes_ns[at] == now.st_ctime_ns and self._inodes[at] == now.st_ino
        return same and entry.size == now.st_size and entry.mtime_ns == now.st_mtime_ns

    def facts(self, at: int) -> str:
        """What a change of this file would show in: size, mtime, ctime and inode."""
        entry = self.entries[at]
        return f"{entry.size} {entry.mtime_ns} {self._ctimes_ns[at]} {self._inodes[at]}"

    def digest(self, at: int) -> str:
        """The sha256 (hex) of this file's content; "" while nobody knows it."""
        data = self._digests[at * _DIGEST_BYTES : (at + 1) * _DIGEST_BYTES]
        return "" if data == _UNKNOWN else data.hex()

    def knows(self, at: int) -> bool:
        """Whether this file's digest is known."""
        return self._digests[at * _DIGEST_BYTES : (at + 1) * _DIGEST_BYTES] != _UNKNOWN

    def learn(self, at: int, digest: str) -> None:
        """Take the sha256 (hex) of this file's content. Raises ValueError for what is none."""
        data = bytes.fromhex(digest)
        if len(data) != _DIGEST_BYTES:
            raise ValueError(f"no sha256: {digest[:100]}")
        self._digests[at * _DIGEST_BYTES : (at + 1) * _DIGEST_BYTES] = data


class Places:
    """Finds entries in their listings. Most come in the order of a directory, so the next one is tried first."""

    def __init__(self, listing_of: Callable[[bytes], Listing]) -> None:
        self._listing_of = listing_of
        self._listing = Listing(())
        self._count = 0
        self._at = -1

    def find(self, entry: Entry) -> tuple[Listing, int]:
        """The listing that has an entry, and its place there. Raises ContextError where none has."""
        listing, at = self._listing, self._at + 1
        if at < self._count and listing.entries[at] is entry:
            self._at = at
            return listing, at
        listing = self._listing_of(entry.path.rpartition(b"/")[0])
        at = listing.place_of(entry.path)
        if at < 0:
            raise ContextError(f"{shown(entry.path)} went away while it was read")
        self._listing, self._count, self._at = listing, len(listing.entries), at
        return listing, at
