"""Resolve: which targets are needed, and which image every outside name stands for. The result is the plan.

Only the wanted target and what it reaches is looked at: a stage that nobody needs may have a base that does not exist.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from builder.errors import BuildfileError, UsageError
from builder.source import Span
from builder.stages.images import Images
from builder.stages.plan import Start, plan_target
from builder.stages.plan_steps import Surroundings
from builder.stages.scope import PROXY_NAMES, Scope, global_scope, platform_args
from builder.values.image import ImageConfig
from builder.values.instruction import Block, Buildfile
from builder.values.platform import Platform
from builder.values.request import BuildRequest
from builder.values.step import (
    CopyStep,
    ImageBase,
    Origin,
    Plan,
    RunStep,
    ScratchBase,
    TargetBase,
    TargetOrigin,
    TargetPlan,
)


def build_platform() -> Platform:
    """What this machine runs."""
    return Platform.of("linux", os.uname().machine)


def resolve(buildfile: Buildfile, request: BuildRequest, images: Images) -> Plan:
    """The plan of the wanted target and all that it needs.

    Raises BuildfileError (with the place), UsageError for a --target that there is not, ImageError for bases.
    """
    stages = {block.from_.alias: block.index for block in buildfile.blocks if block.from_.alias}
    wanted = _wanted(buildfile, request.target, stages)
    given = dict(request.build_args)
    own = build_platform()
    target_name = buildfile.blocks[wanted].from_.alias or "default"
    predefined = platform_args(own, request.platform or own, target_name)
    planner = _Planner(buildfile, request, images, global_scope(buildfile, given, predefined))
    planner.plan(wanted)
    _note_unused(planner, given)
    targets = tuple(planner.done[index] for index in sorted(planner.done))
    return Plan(targets, _epoch(given.get("SOURCE_DATE_EPOCH")))


def _wanted(buildfile: Buildfile, target: str | None, stages: dict[str, int]) -> int:
    if target is None:
        return len(buildfile.blocks) - 1
    if target.lower() in stages:
        return stages[target.lower()]
    if target.isdecimal() and int(target[:9]) < len(buildfile.blocks):
        return int(target)
    names = ", ".join(sorted(stages)) or "none has a name"
    raise UsageError(f"--target {target}: there is no such stage in the Buildfile", hint=f"its stages: {names}")


def _epoch(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 12:
        raise UsageError(f"SOURCE_DATE_EPOCH={text[:40]!r} is not a number of seconds since 1970")
    return int(text)


def _note_unused(planner: _Planner, given: dict[str, str]) -> None:
    declared = {name for arg in planner.buildfile.global_args for name, _ in arg.pairs}
    declared.update(name for plan in planner.done.values() for name, _ in plan.args)
    unused = sorted(set(given) - declared - PROXY_NAMES - {"SOURCE_DATE_EPOCH"})
    if unused and not any(name.startswith("BUILDKIT_") for name in unused):
        planner.images.note(f"build args that no ARG declares were not used: {', '.join(unused)}")


@dataclass
class _Planner:
    """Plans a target after its base, then all that its steps refer to. References only lead to earlier blocks."""

    buildfile: Buildfile
    request: BuildRequest
    images: Images
    scope: Scope
    done: dict[int, TargetPlan] = field(default_factory=dict)

    def plan(self, wanted: int) -> None:
        waiting = [wanted]
        while waiting:
            index = waiting[-1]
            block = self.buildfile.blocks[index]
            name = self._base_name(block)
            base = self._stages_before(index).get(name.lower())
            if index in self.done:
                waiting.pop()
            elif base is not None and base not in self.done:
                waiting.append(base)
            else:
                waiting.pop()
                self.done[index] = self._plan_one(block, name, base)
                waiting += [used for used in _targets_used(self.done[index]) if used not in self.done]

    def _stages_before(self, index: int) -> dict[str, int]:
        return {block.from_.alias: block.index for block in self.buildfile.blocks[:index] if block.from_.alias}

    def _base_name(self, block: Block) -> str:
        name = self.scope.word(block.from_.image, block.from_.span)
        if not name:
            raise BuildfileError(
                f"FROM {block.from_.image}: the base's name is empty",
                span=block.from_.span,
                hint="give the ARG a default before the first FROM, or set it with --build-arg",
            )
        return name

    def _plan_one(self, block: Block, name: str, base: int | None) -> TargetPlan:
        request = self.request
        around = Surroundings(
            index=block.index,
            stages=self._stages_before(block.index),
            network=str(request.network),
            hidden_env=_hidden_env(request),
            escape=self.buildfile.directives.escape,
            allow=request.allow,
        )
        return plan_target(block, self._start(block, name, base), self.scope, around)

    def _start(self, block: Block, name: str, base: int | None) -> Start:
        platform = self._platform(block)
        if base is not None:
            earlier = self.done[base]
            config = ImageConfig(earlier.platform, earlier.config, author=earlier.author)
            return Start(TargetBase(base), config, earlier.args, earlier.platform, name)
        if name == "scratch":
            return Start(ScratchBase(), ImageConfig(platform), (), platform, name)
        found = self.images.find(name, platform, block.from_.span)
        return Start(ImageBase(name, platform), found.image.config, (), found.image.config.platform, name)

    def _platform(self, block: Block) -> Platform:
        if block.from_.platform is None:
            return self.request.platform or build_platform()
        return _parse_platform(self.scope.word(block.from_.platform, block.from_.span), block.from_.span)


def _parse_platform(text: str, span: Span) -> Platform:
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise BuildfileError(f"FROM --platform: {error}", span=span, hint="for example linux/arm64") from None


def _hidden_env(request: BuildRequest) -> tuple[tuple[str, str], ...]:
    given = tuple((name, value) for name, value in request.build_args if name in PROXY_NAMES)
    names = {name for name, _ in given}
    return (*given, *(pair for pair in request.proxies if pair[0] not in names))


def _targets_used(plan: TargetPlan) -> list[int]:
    origins: list[Origin] = []
    for step in plan.steps:
        if isinstance(step, CopyStep):
            origins.append(step.origin)
        elif isinstance(step, RunStep):
            origins += [mount.origin for mount in step.mounts]
    return [origin.index for origin in origins if isinstance(origin, TargetOrigin)]
