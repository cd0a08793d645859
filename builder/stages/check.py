"""Check: Docker's build checks, with what a plan and an ignore file add to what the text alone has shown.

Findings are warnings and change nothing, unless the Buildfile makes them errors. For `--check` the bases are looked at
where they can be had; one that cannot be had only leaves its rules without an answer.
"""

from __future__ import annotations

from collections.abc import Collection

from builder.errors import (
    BuildfileError,
    ContextError,
    ImageError,
    MachineError,
    PybuildError,
    StoreError,
    UsageError,
)
from builder.lang import checks
from builder.lang.check_rules import Mismatch
from builder.lang.grammar import parse_trigger
from builder.lang.ignore import IgnoreRules
from builder.source import SourceText, Span
from builder.stages.gather import read_ignore_rules
from builder.stages.images import FoundImage, Images
from builder.values.digest import Digest
from builder.values.image import MEDIA_CONFIG, MEDIA_MANIFEST, Descriptor, Image, ImageConfig
from builder.values.instruction import Arg, Block, Buildfile, CheckWarning, Env
from builder.values.platform import Platform
from builder.values.request import BuildRequest
from builder.values.step import ImageBase, Plan, TargetBase, TargetPlan

OPTIONS_ARG = "BUILDKIT_DOCKERFILE_CHECK"
"""The build arg that takes the place of the check directive."""


def with_asked_checks(buildfile: Buildfile, request: BuildRequest) -> Buildfile:
    """The Buildfile with the command line's check options in force. Raises UsageError for malformed ones."""
    text = dict(request.build_args).get(OPTIONS_ARG)
    if text is None:
        return buildfile
    try:
        return checks.with_options(buildfile, text)
    except BuildfileError as error:
        raise UsageError(f"--build-arg {OPTIONS_ARG}: {error.message}", hint=error.hint) from None


def _rules_if_any(request: BuildRequest) -> IgnoreRules:
    """The rules of the context's ignore file; none where it cannot be read, which whoever uses the context will say."""
    try:
        return read_ignore_rules(request)
    except PybuildError:
        return IgnoreRules()


def findings(buildfile: Buildfile, plan: Plan, request: BuildRequest) -> tuple[CheckWarning, ...]:
    """The findings of a build in the order of their lines; those that concern stages only in the stages of the plan."""
    return _findings(buildfile, plan, request, (), {target.index for target in plan.targets})


def findings_of_check(
    buildfile: Buildfile, plan: Plan, request: BuildRequest, unknown: Collection[str]
) -> tuple[CheckWarning, ...]:
    """The findings of `--check`: in all stages, or those of the plan where one is wanted.

    `unknown` are the bases that were not to be had: of what they set nothing is said.
    """
    everywhere = range(len(buildfile.blocks))
    stages = everywhere if request.target is None else {target.index for target in plan.targets}
    return _findings(buildfile, plan, request, unknown, stages)


def _findings(
    buildfile: Buildfile, plan: Plan, request: BuildRequest, unknown: Collection[str], stages: Collection[int]
) -> tuple[CheckWarning, ...]:
    planned = {target.index: target for target in plan.targets}

    def names_of(block: Block) -> Collection[str] | None:
        target = planned.get(block.index)
        return None if target is None or _root(target, planned) in unknown else _names_at_start(target, planned)

    found = [
        *(warning for warning in buildfile.warnings if warning.rule != "UndefinedVar"),
        *checks.undefined_variables(buildfile, names_of),
        *checks.ignored_sources(buildfile, _rules_if_any(request)),
        *checks.credentials_given(buildfile, dict(request.build_args)),
        *checks.wrong_platforms(buildfile, _mismatches(plan, unknown)),
    ]
    starts = [block.from_.span.first for block in buildfile.blocks]
    shown = [
        warning
        for warning in found
        if warning.rule not in checks.OF_STAGES or _block_at(starts, warning.span.first) in stages
    ]
    return tuple(sorted(shown, key=lambda warning: (warning.span.first, warning.rule, warning.message)))


def _block_at(starts: list[int], line: int) -> int:
    """The number of the block that a line belongs to; that of the first one for the lines before it."""
    before = sum(start <= line for start in starts)
    return max(before - 1, 0)


def _root(target: TargetPlan, planned: dict[int, TargetPlan]) -> str:
    """The image that a target is made from, through the targets between; empty for scratch."""
    while isinstance(target.base, TargetBase):
        target = planned[target.base.index]
    return target.base.name if isinstance(target.base, ImageBase) else ""


def _names_at_start(target: TargetPlan, planned: dict[int, TargetPlan]) -> set[str]:
    """The names that a target's base gives it, with those that its triggers declare."""
    config = target.base_config.config
    names = {name for name, _ in config.env}
    if isinstance(target.base, TargetBase):
        names.update(name for name, _ in planned[target.base.index].args)
    for text in config.on_build:
        trigger = parse_trigger(text, SourceText("ONBUILD", text), "\\")
        if isinstance(trigger, Env | Arg):
            names.update(name for name, _ in trigger.pairs)
    return names


def _mismatches(plan: Plan, unknown: Collection[str]) -> dict[int, Mismatch]:
    wrong: dict[int, Mismatch] = {}
    for target in plan.targets:
        if not isinstance(target.base, ImageBase) or target.base.name in unknown:
            continue
        expected, actual = target.base.platform, target.base_config.platform
        if (expected.os, expected.architecture) != (actual.os, actual.architecture):
            wrong[target.index] = Mismatch(target.base.name, str(expected), str(actual))
    return wrong


class GuessedImages(Images):
    """Answers for every name: with nothing but a platform for an image that cannot be had. For `--check`."""

    unknown: frozenset[str] = frozenset()

    def find(self, name: str, platform: Platform, span: Span) -> FoundImage:
        """The image, or an empty one whose name is `unknown` from then on. Raises BuildfileError at `span`."""
        try:
            return super().find(name, platform, span)
        except (ImageError, StoreError, ContextError, MachineError) as error:
            if name not in self.unknown:
                self.note(f"the checks do not know what {name} sets: {error.message}")
            self.unknown |= {name}
            return FoundImage(_blank(platform), None)


def _blank(platform: Platform) -> Image:
    nothing = Digest.of(b"")
    config = ImageConfig(platform)
    return Image(Descriptor(MEDIA_MANIFEST, nothing, 0), Descriptor(MEDIA_CONFIG, nothing, 0), config, ())
