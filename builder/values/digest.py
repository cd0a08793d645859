"""Content identities. A digest names stored bytes, a diff-id an uncompressed layer, a chain-id a stack of layers.

They are different types so that they cannot be mixed up; all print as `sha256:<hex>`.
Source: OCI image-spec, descriptor.md (Digests) and config.md (Layer ChainID).
"""

from __future__ import annotations

import hashlib
import re
from typing import Self

from builder.declare import dataclass

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, order=True)
class _Sha256:
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `sha256:<64 lower-case hex>`. Raises ValueError for anything else (CVE-2024-3727)."""
        if not _SHA256.match(text):
            raise ValueError(f"not a sha256 digest: {text[:100]!r}")
        return cls(text[7:])

    @classmethod
    def of(cls, data: bytes) -> Self:
        """The identity of `data`."""
        return cls(hashlib.sha256(data).hexdigest())

    def __str__(self) -> str:
        return "sha256:" + self.hex


@dataclass(frozen=True, slots=True, order=True)
class Digest(_Sha256):
    """Names the bytes of a blob as they are stored and sent."""


@dataclass(frozen=True, slots=True, order=True)
class DiffId(_Sha256):
    """Names the uncompressed tar of a layer."""


@dataclass(frozen=True, slots=True, order=True)
class ChainId(_Sha256):
    """Names a stack of layers, and so a whole file system."""

    def extended(self, diff_id: DiffId) -> ChainId:
        """The identity of this stack with one more layer on top."""
        if self == EMPTY_CHAIN:
            return ChainId(diff_id.hex)
        return ChainId.of(f"{self} {diff_id}".encode())


EMPTY_CHAIN = ChainId("0" * 64)
"""The file system with no layers, `FROM scratch`."""


def chain_of(diff_ids: tuple[DiffId, ...]) -> ChainId:
    """The identity of a whole stack, bottom first."""
    chain = EMPTY_CHAIN
    for diff_id in diff_ids:
        chain = chain.extended(diff_id)
    return chain
