"""Plans for tests, made from the text of a Buildfile without a store: one target over a base of any config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from builder.errors import PybuildError
from builder.lang.grammar import parse
from builder.source import SourceText, Span
from builder.stages.plan import Start, plan_target
from builder.stages.plan_steps import Surroundings
from builder.stages.scope import global_scope, platform_args
from builder.values.image import ImageConfig, RunConfig
from builder.values.platform import Platform
from builder.values.step import CopyStep, ImageBase, Planned, RunStep, TargetPlan

AMD64 = Platform("linux", "amd64")
SPAN = Span(SourceText("Buildfile", "FROM base\n"), 1, 1)
PATH = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
NOTHING: Mapping[str, str] = {}


def around(**settings: Any) -> Surroundings:
    """The surroundings of the first and only target of a build, with these settings."""
    plain: dict[str, Any] = {
        "index": 0,
        "names": (None,),
        "numbered": {},
        "contexts": {},
        "network": "default",
        "hidden_env": (),
    }
    return Surroundings(**{**plain, **settings})


def among(*names: str | None, index: int, **settings: Any) -> Surroundings:
    """The surroundings of target `index` among targets of these names."""
    numbered: dict[str, tuple[int, ...]] = {}
    for number, name in enumerate(names):
        if name is not None:
            numbered[name] = (*numbered.get(name, ()), number)
    return around(index=index, names=names, numbered=numbered, **settings)


def planned(
    text: str,
    base: RunConfig | ImageConfig | None = None,
    given: Mapping[str, str] = NOTHING,
    before: str = "",
    **settings: Any,
) -> TargetPlan:
    """The plan of these instructions over a base; `given` are build args, `before` stands before the FROM."""
    config = base if isinstance(base, ImageConfig) else ImageConfig(AMD64, base or RunConfig())
    buildfile = parse(SourceText("Buildfile", f"{before}FROM base\n{text}\n"))
    scope = global_scope(buildfile, given, platform_args(AMD64, AMD64, "default"))
    start = Start(ImageBase("base", AMD64), config, (), AMD64, "base")
    return plan_target(buildfile.blocks[0], start, scope, around(**settings))


def refused(kind: type[PybuildError], text: str, **settings: Any) -> PybuildError:
    """The error that planning this raises; it has a place."""
    with pytest.raises(kind) as caught:
        planned(text, **settings)
    assert caught.value.span is not None
    return caught.value


def run_of(plan: TargetPlan, number: int = -1) -> RunStep:
    """One of a plan's RUN steps, the last one if it is not said."""
    return [step for step in plan.steps if isinstance(step, RunStep)][number]


def copy_of(plan: TargetPlan, number: int = -1) -> CopyStep:
    """One of a plan's COPY or ADD steps."""
    return [step for step in plan.steps if isinstance(step, CopyStep)][number]


def history(plan: TargetPlan) -> list[str]:
    """The lines in the history."""
    return [action.created_by for action in plan.actions]


def made_by_steps(plan: TargetPlan) -> list[str]:
    """The lines in the history that stand for steps."""
    return [action.created_by for action in plan.actions if isinstance(action, Planned)]
