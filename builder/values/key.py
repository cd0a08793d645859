"""Cache keys: a versioned hash over the canonical JSON of a step, never over a line meant for people.

Canonical means: UTF-8, keys sorted, no white space, no floats. A golden file in the tests freezes the form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from builder.declare import dataclass

KEY_VERSION = 3
"""Raised when the same step would have to give another layer; old records are then never found again."""

Plain = None | bool | int | str | Sequence["Plain"] | Mapping[str, "Plain"]


@dataclass(frozen=True, slots=True, order=True)
class CacheKey:
    """Names the outcome of a step over a given file system."""

    hex: str

    def __str__(self) -> str:
        return self.hex


def canonical(value: Plain) -> bytes:
    """The canonical JSON of a plain value."""
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def key_of(kind: str, value: Plain) -> CacheKey:
    """The key of a step of this kind (`run`, `copy`, `workdir`) with everything that decides its outcome."""
    document = canonical({"version": KEY_VERSION, "kind": kind, "value": value})
    return CacheKey(hashlib.sha256(document).hexdigest())
