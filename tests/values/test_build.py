"""Builds that are over."""

from __future__ import annotations

from builder.values.build import BuiltStep, Outcome
from builder.values.contact import Contacts
from builder.values.event import StepId


def test_a_step_talks_to_nobody_unless_it_is_said() -> None:
    """What is left out of a step is nothing."""
    step = BuiltStep(StepId("a", 1, 2), "RUN x", Outcome.CACHED)
    assert (step.seconds, step.contacts) == (0.0, Contacts((), 0))


def test_words_are_what_is_written() -> None:
    """Outcomes are their words in the store and in JSON."""
    assert [str(outcome) for outcome in Outcome] == ["done", "cached", "failed", "stopped"]
