"""The limits in force."""

from __future__ import annotations

import threading

import pytest

from builder.errors import ImageError
from builder.tree import bounds
from builder.tree.bounds import check_growth
from builder.values.limits import Limits
from tests.support.limited import limited


def test_defaults_hold() -> None:
    """Who was never told anything has the defaults."""
    assert bounds.limits() == Limits()


def test_they_hold_on_every_thread() -> None:
    """What is enforced holds for all threads, also those that run already."""
    found = []
    with limited(Limits(ratio=12)):
        thread = threading.Thread(target=lambda: found.append(bounds.limits().ratio))
        thread.start()
        thread.join()
    assert found == [12]
    assert bounds.limits() == Limits()


@pytest.mark.parametrize(
    ("count", "source_bytes", "said"),
    [(10_001, 10_000, "larger than 10000 bytes"), (1001, 100, "more than 10 times"), (1001, 0, "more than 10 times")],
)
def test_growth(count: int, source_bytes: int, said: str) -> None:
    """A layer that becomes too large, in all or for what it came from, is refused with the option that allows it."""
    with limited(Limits(layer_bytes=10_000, ratio=10, ratio_from_bytes=1000)):
        with pytest.raises(ImageError, match=said) as caught:
            check_growth(count, source_bytes)
        assert "--limit " in (caught.value.hint or "")


def test_growth_that_may_be() -> None:
    """A small layer may grow as it likes, a large one up to the ratio."""
    with limited(Limits(layer_bytes=10_000, ratio=10, ratio_from_bytes=1000)):
        check_growth(1000, 1)
        check_growth(10_000, 1000)


def test_directories_that_are_implied() -> None:
    """What entries only imply is bounded by the length of its names."""
    bounds.check_made(bounds.MADE_BYTES)
    with pytest.raises(ImageError, match=f"names of over {bounds.MADE_BYTES} bytes"):
        bounds.check_made(bounds.MADE_BYTES + 1)
