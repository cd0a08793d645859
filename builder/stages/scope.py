"""What variables mean: ARGs before the first FROM, ARGs and ENV of a target, the ARGs that are always there.

Pure. Source: the Dockerfile reference, "Understand how ARG and FROM interact", "Predefined ARGs" and "Scope".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from builder.declare import dataclass, replace
from builder.errors import BuildfileError
from builder.lang.words import expand, expand_list, expand_raw
from builder.source import Span
from builder.values.instruction import Arg, Buildfile
from builder.values.platform import Platform
from builder.values.request import BuildRequest

PROXY_NAMES = frozenset(
    spelling
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for spelling in (name, name.lower())
)
"""May be given as build args without being declared; they are in no cache key and no history."""


def proxy_variables(request: BuildRequest) -> tuple[tuple[str, str], ...]:
    """The proxies in both spellings, as programs look for either; what was given as a build arg comes first."""
    proxies: dict[str, str] = {}
    for pairs in (request.build_args, request.proxies):
        named = {name: value for name, value in pairs if name in PROXY_NAMES}
        for name, value in named.items():
            for spelling in (name.upper(), name.lower()):
                proxies.setdefault(spelling, named.get(spelling, value))
    return tuple((name, value) for name, value in sorted(proxies.items()) if value)


@dataclass(frozen=True)
class Scope:
    """The names known at one point of a target. `given` are the command line's build args."""

    given: Mapping[str, str]
    globals: Mapping[str, str]
    escape: str = "\\"
    env: tuple[tuple[str, str], ...] = ()
    args: tuple[tuple[str, str | None], ...] = ()
    late: frozenset[str] = frozenset()  # ARGs that were given a value after the ENV of the same name

    @cached_property
    def names(self) -> dict[str, str]:
        """Every name that has a value here. Of an ENV and an ARG of one name the later one counts, as in BuildKit.

        (The reference says that ENV always wins; BuildKit's behaviour is the measure.)
        """
        names = {name: value for name, value in self.args if value is not None}
        names.update(pair for pair in self.env if pair[0] not in self.late)
        return names

    @property
    def command_env(self) -> tuple[tuple[str, str], ...]:
        """What a command sees: the ENVs, then the ARGs with a value, each name once."""
        env = tuple(pair for pair in self.env if pair[0] not in self.late)
        hidden = {name for name, _ in env}
        return (*env, *((name, value) for name, value in self.args if value is not None and name not in hidden))

    @property
    def recorded_args(self) -> tuple[tuple[str, str], ...]:
        """Every declared ARG with what its name means here, as a RUN's line in the history shows it."""
        return tuple((name, self.names.get(name, "")) for name, _ in self.args)

    def with_arg(self, name: str, default: str | None, span: Span) -> Scope:
        """This scope after `ARG name[=default]`: the command line wins, then the default, then the global ARG.

        Where none of them has a value, what the name meant before stays.
        """
        if name in self.given:
            value: str | None = self.given[name]
        elif default is not None:
            value = self.word(default, span)
        else:
            value = self.globals.get(name)
        args = dict(self.args)
        if value is not None:
            return replace(self, args=tuple({**args, name: value}.items()), late=self.late | {name})
        return self if name in args else replace(self, args=(*self.args, (name, None)))

    def with_env(self, env: tuple[tuple[str, str], ...], names: frozenset[str]) -> Scope:
        """This scope after an ENV of `names`, with the whole environment that it leads to."""
        return replace(self, env=env, late=self.late - names)

    def word(self, text: str, span: Span) -> str:
        """One word with its variables expanded and its quotes removed. Raises BuildfileError at `span`."""
        try:
            return expand(text, self.names, self.escape)
        except BuildfileError as error:
            raise error.at(span) from None

    def words(self, text: str, span: Span) -> list[str]:
        """As `word`, but unquoted white space of values separates words."""
        try:
            return expand_list(text, self.names, self.escape)
        except BuildfileError as error:
            raise error.at(span) from None

    def body(self, text: str, span: Span) -> str:
        """A heredoc's body with its variables expanded and its quotes kept."""
        try:
            return expand_raw(text, self.names, self.escape)
        except BuildfileError as error:
            raise error.at(span) from None


def platform_args(build: Platform, target: Platform, target_stage: str) -> dict[str, str]:
    """The ARGs that describe both platforms and the wanted stage."""
    args = {"TARGETSTAGE": target_stage}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        args[f"{prefix}PLATFORM"] = str(platform)
        args[f"{prefix}OS"] = platform.os
        args[f"{prefix}OSVERSION"] = ""
        args[f"{prefix}ARCH"] = platform.architecture
        args[f"{prefix}VARIANT"] = platform.variant
    return args


def global_scope(buildfile: Buildfile, given: Mapping[str, str], predefined: Mapping[str, str]) -> Scope:
    """The scope of the FROM lines: the predefined ARGs (a build arg may replace one), those before the first FROM."""
    always = {name: given.get(name, value) for name, value in predefined.items()}
    scope = Scope(given, always, buildfile.directives.escape, args=tuple(always.items()))
    for instruction in buildfile.global_args:
        scope = declare(scope, instruction)
    return scope


def declare(scope: Scope, instruction: Arg) -> Scope:
    """The scope after an ARG instruction."""
    for name, default in instruction.pairs:
        scope = scope.with_arg(name, default, instruction.span)
    return scope
