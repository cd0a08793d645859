"""What variables mean: ARGs before the first FROM, ARGs and ENV of a target, the ARGs that are always there.

Pure. Source: the Dockerfile reference, "Understand how ARG and FROM interact", "Predefined ARGs" and "Scope".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from builder.errors import BuildfileError
from builder.lang.words import expand, expand_list, expand_raw
from builder.source import Span
from builder.values.instruction import Arg, Buildfile
from builder.values.platform import Platform

PROXY_NAMES = frozenset(
    spelling
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for spelling in (name, name.lower())
)
"""May be given as build args without being declared; they are in no cache key and no history."""


@dataclass(frozen=True)
class Scope:
    """The names known at one point of a target. `given` are the command line's build args."""

    given: Mapping[str, str]
    globals: Mapping[str, str]
    escape: str = "\\"
    env: tuple[tuple[str, str], ...] = ()
    args: tuple[tuple[str, str | None], ...] = ()

    @cached_property
    def names(self) -> dict[str, str]:
        """Every name that has a value here; ENV wins over an ARG of the same name."""
        names = {name: value for name, value in self.args if value is not None}
        names.update(self.env)
        return names

    @property
    def set_args(self) -> tuple[tuple[str, str], ...]:
        """The ARGs that a command sees: those with a value that no ENV hides."""
        hidden = {name for name, _ in self.env}
        return tuple((name, value) for name, value in self.args if value is not None and name not in hidden)

    def with_arg(self, name: str, default: str | None, span: Span) -> Scope:
        """This scope after `ARG name[=default]`: the command line wins, then the default, then the global ARG."""
        if name in self.given:
            value: str | None = self.given[name]
        elif default is not None:
            value = self.word(default, span)
        else:
            value = self.globals.get(name)
        others = tuple(pair for pair in self.args if pair[0] != name)
        return replace(self, args=(*others, (name, value)))

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
        args[f"{prefix}ARCH"] = platform.architecture
        args[f"{prefix}VARIANT"] = platform.variant
    return args


def global_scope(buildfile: Buildfile, given: Mapping[str, str], predefined: Mapping[str, str]) -> Scope:
    """The scope of the FROM lines: the predefined ARGs and those before the first FROM."""
    scope = Scope(given, predefined, buildfile.directives.escape, args=tuple(predefined.items()))
    for instruction in buildfile.global_args:
        scope = declare(scope, instruction)
    return scope


def declare(scope: Scope, instruction: Arg) -> Scope:
    """The scope after an ARG instruction."""
    for name, default in instruction.pairs:
        scope = scope.with_arg(name, default, instruction.span)
    return scope
