"""Tests of what stages tell people."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import get_args

import pytest

from builder.values.digest import Digest
from builder.values.event import Event, ImageReady, Note, StepFinished, StepId, StepOutput


def test_events_are_frozen() -> None:
    """An event that several threads and reporters see cannot be changed by one of them."""
    for kind in get_args(Event):
        with pytest.raises(FrozenInstanceError):
            object.__new__(kind).any = 1
    with pytest.raises(FrozenInstanceError):
        Note("a").text = "b"  # type: ignore[misc]


def test_steps_are_told_apart_by_value() -> None:
    """Events of one step name it alike, wherever they were made; those of another do not."""
    step = StepId("app", 1, 3)
    assert StepFinished(step, 0.5).step == StepOutput(StepId("app", 1, 3), b"x").step
    assert StepId("base", 1, 3) != step


def test_output_is_bytes_as_they_came() -> None:
    """What a step writes need not be text."""
    assert StepOutput(StepId("0", 1, 1), b"\xff\n").data == b"\xff\n"


def test_an_image_may_have_no_name() -> None:
    """A build without a tag still says what it made."""
    assert ImageReady(Digest.of(b""), (), 0).names == ()
