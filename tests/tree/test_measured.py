"""Streams that are hashed, counted and limited."""

from __future__ import annotations

import io

import pytest

from builder.errors import ImageError
from builder.tree.measured import Measured
from builder.values.digest import DiffId
from builder.values.limits import Limits
from tests.support.limited import limited

LIMITS = Limits(layer_bytes=10_000, ratio=10, ratio_from_bytes=1000)


def test_hash_and_count() -> None:
    """All that was read is counted and hashed, however it was read."""
    stream = Measured(io.BytesIO(b"x" * 3000), 3000)
    assert stream.read(10) == b"x" * 10
    assert stream.drain() == DiffId.of(b"x" * 3000)
    assert stream.count == 3000


def test_verify() -> None:
    """Other bytes than the diff-id says are refused."""
    Measured(io.BytesIO(b"abc"), 3).verify(DiffId.of(b"abc"))
    with pytest.raises(ImageError, match="a layer is not what its image says"):
        Measured(io.BytesIO(b"abc"), 3).verify(DiffId.of(b"abd"))


@pytest.mark.parametrize(
    ("blob_bytes", "most", "words"),
    [
        (1, 1000, "a layer grows to more than 10 times its size"),
        (500, 5000, "a layer grows to more than 10 times its size"),
        (9999, 10_000, "a layer is larger than 10000 bytes"),
    ],
)
def test_limits(blob_bytes: int, most: int, words: str) -> None:
    """A stream may be as long as its limits allow, and not a byte longer."""
    with limited(LIMITS):
        assert Measured(io.BytesIO(bytes(most)), blob_bytes).drain() == DiffId.of(bytes(most))
        with pytest.raises(ImageError, match=words):
            Measured(io.BytesIO(bytes(most + 1)), blob_bytes).drain()
