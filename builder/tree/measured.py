"""The uncompressed bytes of a layer as they are read: hashed, counted, and stopped where they become too many.

Whoever reads a blob that a stranger made reads it through here. What the bytes mean is not known here.
"""

from __future__ import annotations

import hashlib

from builder.errors import ImageError
from builder.tree import bounds
from builder.tree.tarformat import Readable
from builder.values.digest import DiffId

_DRAIN_BYTES = 1 << 20


class Measured:
    """What `raw` gives, the decompressed content of a blob of `blob_bytes`.

    Reading raises ImageError beyond the limits, before whoever reads has put the excess anywhere (CVE-2017-14992).
    """

    def __init__(self, raw: Readable, blob_bytes: int) -> None:
        self.count = 0
        self._raw = raw
        self._hash = hashlib.sha256()
        self._blob_bytes = blob_bytes

    def read(self, count: int, /) -> bytes:
        data = self._raw.read(count)
        self._hash.update(data)
        self.count += len(data)
        bounds.check_growth(self.count, self._blob_bytes)
        return data

    def drain(self) -> DiffId:
        """Read what is left, and give the identity of all that was read."""
        while self.read(_DRAIN_BYTES):
            pass
        return DiffId(self._hash.hexdigest())

    def verify(self, diff_id: DiffId) -> None:
        """Read what is left, what follows the archive's end included; raises ImageError if it all is not `diff_id`."""
        found = self.drain()
        if found != diff_id:
            raise ImageError(
                f"a layer is not what its image says: its diff-id is {found} and should be {diff_id}",
                hint="pull the image again; if it stays so, do not trust where it comes from",
            )
