"""The line of a command."""

from __future__ import annotations

import pytest

from builder.commands.line import Line


def test_values_come_in_the_form_they_are_asked_for() -> None:
    """A text, texts and a flag each have their own way out; None is a text that is not there."""
    line = Line({"root": "r", "form": None, "names": ("a", "b"), "all": True})
    assert (line.text("root"), line.text("form"), line.texts("names"), line.flag("all")) == (
        "r",
        None,
        ("a", "b"),
        True,
    )


@pytest.mark.parametrize("key", ["names", "all", "form", "unknown"])
def test_another_form_is_a_mistake_of_ours(key: str) -> None:
    """What is not declared, or has another form, is a KeyError and never a wrong value."""
    with pytest.raises(KeyError):
        Line({"names": ("a",), "all": False, "form": None}).word(key)
