"""The fuzz targets for a moment; `python -m tests.hostile.fuzz SECONDS` is the long run."""

from __future__ import annotations

import pytest

from builder.errors import ImageError
from tests.hostile.fuzz import TARGETS, Target, runner


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_reader_takes_or_refuses_whatever_comes(target: Target) -> None:
    """Nothing but the errors that a reader declares, no hang, and what it took reads back the same."""
    runner(target, 200)()


def test_the_good_inputs_are_taken() -> None:
    """A target whose seeds are refused would try nothing but the way out."""
    for target in TARGETS:
        target.feed(target.seeds[0])


def test_a_surprise_is_found() -> None:
    """A reader that falls over some bytes is caught."""

    def careless(data: bytes) -> None:
        if b".." in data:
            raise IndexError

    with pytest.raises(IndexError):
        runner(Target("careless", careless, (ImageError,), (b"a" * 20,)), 2000)()
