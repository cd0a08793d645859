"""Resolve: which targets are needed, and which image every outside name stands for. The result is the plan.

Only the wanted target and what it reaches is looked at: a stage that nobody needs may have a base that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from builder.declare import dataclass, field, replace
from builder.errors import BuildfileError, UsageError
from builder.source import Span
from builder.stages.images import Images, build_platform
from builder.stages.plan import Start, plan_target
from builder.stages.plan_steps import HOSTNAME_ARG, Surroundings, context_key, stage_number
from builder.stages.scope import PROXY_NAMES, Scope, global_scope, platform_args, proxy_variables
from builder.values.image import ImageConfig, RunConfig
from builder.values.instruction import Arg, Block, Buildfile
from builder.values.platform import Platform
from builder.values.request import BuildRequest
from builder.values.step import (
    ImageBase,
    Plan,
    ScratchBase,
    TargetBase,
    TargetPlan,
    targets_used,
)


def resolve(buildfile: Buildfile, request: BuildRequest, images: Images) -> Plan:
    """The plan of the wanted target and all that it needs.

    Raises BuildfileError (with the place), UsageError for a --target that there is not, ImageError for bases.
    """
    wanted = _wanted(buildfile, request.target)
    planner = _planner(buildfile, request, images, wanted)
    planner.plan(wanted)
    _note_unused(planner, dict(request.build_args))
    _note_idle(planner, dict(request.build_args))
    planner.done[wanted] = _finished(planner.done[wanted], request)
    return planner.finish()


def survey(buildfile: Buildfile, request: BuildRequest, images: Images, is_unknown: Callable[[str], bool]) -> Plan:
    """The plan of every target, or of the wanted one and all that it needs where the request names one.

    Where `is_unknown` says so of a base's name, what depends on the base may fail to be planned; it is then left out.
    Raises as `resolve` does.
    """
    wanted = _wanted(buildfile, request.target)
    planner = _planner(buildfile, request, images, wanted)
    for index in range(len(buildfile.blocks)) if request.target is None else (wanted,):
        try:
            planner.plan(index)
        except BuildfileError as error:
            if not planner.depends(error.span, is_unknown):
                raise
    return planner.finish()


def _planner(buildfile: Buildfile, request: BuildRequest, images: Images, wanted: int) -> _Planner:
    given = dict(request.build_args)
    own = build_platform()
    target_name = request.target or buildfile.blocks[wanted].from_.alias or "default"
    predefined = platform_args(own, request.platform or own, target_name)
    _check_hostname(given.get(HOSTNAME_ARG, ""))
    scope = global_scope(buildfile, given, predefined)
    epoch = _epoch(given.get("SOURCE_DATE_EPOCH", scope.names.get("SOURCE_DATE_EPOCH")))
    images.stages = tuple(block.from_.alias for block in buildfile.blocks if block.from_.alias)
    return _Planner(buildfile, request, images, scope, _surroundings(buildfile, request, epoch))


def _finished(target: TargetPlan, request: BuildRequest) -> TargetPlan:
    """The wanted target with what the command line says of the image: its labels, and the platform it is for.

    Neither has a line in the history. As in BuildKit, a --platform is the image's even where its FROM names another.
    """
    config = target.config
    for name, value in request.labels:
        config = config.with_label(name, value)
    return replace(target, config=config, platform=request.platform or target.platform)


def _wanted(buildfile: Buildfile, target: str | None) -> int:
    stages = {block.from_.alias: block.index for block in buildfile.blocks if block.from_.alias}
    if target is None:
        return len(buildfile.blocks) - 1
    if target.lower() in stages:
        return stages[target.lower()]
    number = stage_number(target)
    if number is not None and 0 <= number < len(buildfile.blocks):
        return number
    names = ", ".join(sorted(stages)) or "none has a name"
    raise UsageError(f"--target {target}: there is no such stage in the Buildfile", hint=f"its stages: {names}")


def _epoch(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 11:
        raise UsageError(
            f"SOURCE_DATE_EPOCH={text[:40]!r} is not a number of seconds since 1970",
            hint="the names of a context or a stage, which BuildKit takes here, are not supported",
        )
    return int(text)


def _note_unused(planner: _Planner, given: dict[str, str]) -> None:
    """Say which build args nothing can have used; a stage that is not built now may well use its own."""
    lines = [line for block in planner.buildfile.blocks for line in block.instructions if isinstance(line, Arg)]
    known = {name for line in (*planner.buildfile.global_args, *lines) for name, _ in line.pairs}
    known.update(name for plan in planner.done.values() for name, _ in plan.args)  # those of triggers among them
    known.update(PROXY_NAMES, planner.scope.globals, ("SOURCE_DATE_EPOCH",))
    unused = sorted(name for name in given if name not in known and not name.startswith("BUILDKIT_"))
    if unused:
        planner.images.note(f"build args that no ARG declares were not used: {', '.join(unused)}")


_IDLE = frozenset(
    f"BUILDKIT_{name}" for name in ("BUILD_NAME", "CONTEXT_KEEP_GIT_DIR", "INLINE_CACHE", "MULTI_PLATFORM", "SYNTAX")
)
"""Build args that mean something to BuildKit's frontend, and nothing here."""


def _note_idle(planner: _Planner, given: dict[str, str]) -> None:
    idle = sorted(_IDLE & given.keys())
    if idle:
        planner.images.note(f"build args that do nothing here: {', '.join(idle)}")


def _check_hostname(name: str) -> None:
    """It goes to the kernel (at most 64 bytes, sethostname(2)) and into /etc/hosts."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,64}", name):
        raise UsageError(
            f"{HOSTNAME_ARG}={name[:100]!r} is no host's name", hint="letters, digits, dots and dashes, at most 64"
        )


def _surroundings(buildfile: Buildfile, request: BuildRequest, epoch: int | None) -> Surroundings:
    """What all targets have in common; each is told its own number."""
    names = tuple(block.from_.alias for block in buildfile.blocks)
    numbered: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        if name is not None:
            numbered.setdefault(name, []).append(index)
    return Surroundings(
        index=0,
        names=names,
        numbered={name: tuple(numbers) for name, numbers in numbered.items()},
        contexts={context_key(name): name for name, _ in request.build_contexts},
        network=str(request.network),
        hidden_env=proxy_variables(request),
        allow=request.allow,
        source_date_epoch=epoch,
        from_elsewhere=bool(request.context_name),
        security=request.privileges.security,
    )


@dataclass
class _Planner:
    """Plans a target after its base, then all that its steps refer to. References only lead to earlier blocks."""

    buildfile: Buildfile
    request: BuildRequest
    images: Images
    scope: Scope
    around: Surroundings
    done: dict[int, TargetPlan] = field(default_factory=dict)

    def plan(self, wanted: int) -> None:
        waiting = [wanted]
        while waiting:
            index = waiting[-1]
            block = self.buildfile.blocks[index]
            name = self._base_name(block)
            base = replace(self.around, index=index).earlier(name)
            if index in self.done:
                waiting.pop()
            elif base is not None and base not in self.done:
                waiting.append(base)
            else:
                waiting.pop()
                self.done[index] = self._plan_one(block, name, base)
                used = [one for step in self.done[index].steps for one in targets_used(step)]
                waiting += [one for one in used if one not in self.done]

    def finish(self) -> Plan:
        """The plan of all that was planned."""
        return Plan(tuple(self.done[index] for index in sorted(self.done)), self.around.source_date_epoch)

    def depends(self, span: Span | None, is_unknown: Callable[[str], bool]) -> bool:
        """Whether what stands at a place below a FROM is made from an image of which `is_unknown` is true."""
        block = next(
            (one for one in reversed(self.buildfile.blocks) if span and one.from_.span.last < span.first), None
        )
        while block is not None:
            name = self._base_name(block)
            base = replace(self.around, index=block.index).earlier(name)
            if base is None:
                return is_unknown(self.around.context(name) or name)
            block = self.buildfile.blocks[base]
        return False

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
        around = replace(self.around, index=block.index)
        shown = name if base is not None else around.image_name(name, block.from_.span)
        start = self._start(block, shown, base)
        return plan_target(block, start, self.scope, around)

    def _start(self, block: Block, name: str, base: int | None) -> Start:
        platform = self._platform(block)
        if base is not None:
            earlier = self.done[base]
            config = ImageConfig(earlier.platform, earlier.config, author=earlier.author)
            return Start(TargetBase(base), config, earlier.args, earlier.platform, name)
        if name == "scratch":
            platform = self._target_platform  # nothing has a platform of its own, whatever --platform of FROM says
            return Start(ScratchBase(), ImageConfig(platform, RunConfig(working_dir="/")), (), platform, name)
        found = self.images.find(name, platform, block.from_.span)
        return Start(ImageBase(name, platform), found.image.config, (), found.image.config.platform, name)

    @property
    def _target_platform(self) -> Platform:
        return self.request.platform or build_platform()

    def _platform(self, block: Block) -> Platform:
        if block.from_.platform is None:
            return self._target_platform
        return _parse_platform(self.scope.word(block.from_.platform, block.from_.span), block.from_.span)


def _parse_platform(text: str, span: Span) -> Platform:
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise BuildfileError(f"FROM --platform: {error}", span=span, hint="for example linux/arm64") from None
