"""Tests of the tree of errors: exit codes, places, and what may cross from the worker."""

from __future__ import annotations

import pytest

from builder.errors import (
    BY_NAME,
    BuildfileError,
    ContextError,
    ImageError,
    Interrupted,
    MachineError,
    PybuildError,
    StepFailed,
    StoreError,
    UsageError,
)
from builder.source import SourceText, Span

SOURCE = SourceText("Buildfile", "FROM a\nRUN b\n")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (StepFailed, 1),
        (UsageError, 2),
        (BuildfileError, 3),
        (ContextError, 4),
        (ImageError, 5),
        (MachineError, 6),
        (StoreError, 7),
        (PybuildError, 70),
    ],
)
def test_exit_codes(kind: type[PybuildError], code: int) -> None:
    """Each kind of failure has its own exit code, the one that README's table gives."""
    assert kind("x").exit_code == code


def test_interrupted() -> None:
    """Being stopped says so by itself, with the signal that did it and a shell's code for SIGINT."""
    error = Interrupted(signal_number=15)
    assert (error.message, error.exit_code, error.signal_number) == ("interrupted", 130, 15)


def test_a_message_is_the_text_of_the_exception() -> None:
    """str() of an error is its message, without place and hint."""
    error = ImageError("no such image", span=Span(SOURCE, 1, 1), hint="look again")
    assert str(error) == error.message == "no such image"
    assert error.hint == "look again"


def test_a_place_is_added_once() -> None:
    """An error takes the first place it is given and keeps it; `at` gives the error itself back."""
    error = ContextError("gone")
    assert error.span is None
    assert error.at(Span(SOURCE, 2, 2)) is error
    error.at(Span(SOURCE, 1, 1))
    assert error.span == Span(SOURCE, 2, 2)


def test_a_failed_step_carries_what_people_need() -> None:
    """A failed step knows its command, its status and the last lines that it wrote."""
    error = StepFailed("bad", command="false", status=1, tail=("a", "b"))
    assert (error.command, error.status, error.tail) == ("false", 1, ("a", "b"))


def test_all_kinds_but_an_interruption_cross_by_name() -> None:
    """The worker can send every kind of error but the one that only the conductor knows of."""
    kinds = set(PybuildError.__subclasses__())
    assert set(BY_NAME.values()) == kinds - {Interrupted}
    assert all(kind.__name__ == name for name, kind in BY_NAME.items())
