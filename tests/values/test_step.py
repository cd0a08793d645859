"""Tests of the plan's values."""

from __future__ import annotations

from typing import get_args

from builder.source import SourceText, Span
from builder.values.image import ImageConfig, RunConfig
from builder.values.platform import Platform
from builder.values.step import Planned, Recorded, ScratchBase, Step, TargetPlan, WorkdirStep

SPAN = Span(SourceText("Buildfile", ""), 1, 1)
AMD64 = Platform("linux", "amd64")


def test_steps_are_the_actions_that_work() -> None:
    """A target's steps are its actions in order without those that only changed the config."""
    first, second = (WorkdirStep(SPAN, "WORKDIR", path, "") for path in ("/a", "/b"))
    target = TargetPlan(
        index=0,
        name="0",
        span=SPAN,
        base=ScratchBase(),
        base_config=ImageConfig(AMD64),
        actions=(Recorded("ENV a=1"), Planned(first, "one"), Recorded("USER x"), Planned(second, "two")),
        config=RunConfig(),
        author="",
        platform=AMD64,
        args=(),
    )
    assert target.steps == (first, second)


def test_every_step_has_a_place_a_title_and_a_latest_time() -> None:
    """Progress lines, errors and keys ask all steps for the same."""
    for kind in get_args(Step):
        names = list(kind.__dataclass_fields__)
        assert names[:2] == ["span", "title"]
        assert "source_date_epoch" in names
