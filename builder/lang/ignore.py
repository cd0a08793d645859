"""Ignore files (`.dockerignore` and its kin): which paths of the context are not there for the build. Pure.

Source: the Docker documentation of .dockerignore; moby/patternmatcher and its ignorefile for the letter of it:
patterns are rooted and cleaned, later lines win, `!` takes back, a pattern that matches a directory holds for all
below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from posixpath import normpath

from builder.declare import dataclass
from builder.errors import BuildfileError
from builder.lang.automaton import Automaton
from builder.lang.glob import Glob, compile_glob, has_magic
from builder.lang.letters import SPACES
from builder.source import SourceText, Span

MOST_WILD = 10_000
"""Patterns with wildcards that an ignore file may have."""

MOST_HARD = 100
"""Those among them for which no expression would be safe; each of them remembers what it has seen."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Patterns in a row that all ignore, or all take back: any of them decides for the group.

    Those without wildcards are looked up: as an expression a hundred thousand of them would take minutes to compile.
    """

    takes_back: bool
    plain: frozenset[str]
    expression: re.Pattern[str] | None
    automata: tuple[Automaton, ...]

    def matches(self, path: str) -> bool:
        if self.plain and self._is_plain(path):
            return True
        if self.expression is not None and self.expression.match(path):
            return True
        return any(automaton.accepts_beginning(path) for automaton in self.automata)

    def _is_plain(self, path: str) -> bool:
        """Whether the path or a directory that it lies in is named in full."""
        if path in self.plain:
            return True
        cut = path.find("/")
        while cut >= 0:
            if path[:cut] in self.plain:
                return True
            cut = path.find("/", cut + 1)
        return False


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules of one ignore file. `patterns` as they hold (cleaned, with `!` where there was one)."""

    patterns: tuple[str, ...] = ()
    groups: tuple[_Group, ...] = ()
    taken_back: tuple[tuple[Glob | None, ...], ...] = ()  # the patterns behind `!` by name; None: any names

    @classmethod
    def parse(cls, text: str, name: str) -> IgnoreRules:
        """Read an ignore file. Raises BuildfileError with the line of a malformed pattern."""
        source = SourceText(name, text)
        rules: list[_Rule] = []
        for number, pattern in read_patterns(text):
            try:
                rules += _rules_of(pattern)
            except BuildfileError as error:
                raise error.at(Span(source, number, number)) from None
        return _rules(rules)

    @classmethod
    def of(cls, patterns: Iterable[str]) -> IgnoreRules:
        """The rules of patterns from elsewhere (`COPY --exclude`). Raises BuildfileError without a span."""
        return _rules([rule for pattern in patterns for rule in _rules_of(pattern)])

    def excludes(self, path: str) -> bool:
        """Whether `path` (relative to the context, cut by `/`) is ignored, by itself or with a directory it lies in."""
        excluded = False
        for group in self.groups:
            if group.takes_back == excluded and group.matches(path):
                excluded = not group.takes_back
        return excluded

    def may_readmit_below(self, directory: str) -> bool:
        """Whether something below an ignored directory may not be ignored; if not, a walk need not go there."""
        names = directory.split("/")
        return any(_reaches_below(pattern, names) for pattern in self.taken_back)


def read_patterns(text: str) -> list[tuple[int, str]]:
    """The patterns of an ignore file with their line numbers (from 1), cleaned but not checked."""
    patterns: list[tuple[int, str]] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        pattern = line.strip(SPACES)
        if line.startswith("#") or not pattern:
            continue
        mark = "!" if pattern.startswith("!") else ""
        pattern = pattern.removeprefix("!").strip(SPACES) if mark else pattern
        if pattern:
            pattern = _clean(pattern)
            pattern = pattern[1:] if len(pattern) > 1 and pattern.startswith("/") else pattern
        patterns.append((number, mark + pattern))
    return patterns


@dataclass(frozen=True, slots=True)
class _Rule:
    takes_back: bool
    glob: Glob


def _rules_of(pattern: str) -> list[_Rule]:
    """The rule that a pattern is, or none for a blank one."""
    pattern = pattern.strip(SPACES)
    if not pattern:
        return []
    pattern = _clean(pattern)
    takes_back = pattern.startswith("!")
    if pattern == "!":
        raise BuildfileError("illegal exclusion pattern: '!' alone", hint="a pattern follows the !")
    return [_Rule(takes_back, compile_glob(pattern.removeprefix("!") if takes_back else pattern))]


def _clean(pattern: str) -> str:
    """The shortest spelling of a path. (Two slashes at the beginning mean nothing here.)"""
    cleaned = normpath(pattern)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _rules(rules: list[_Rule]) -> IgnoreRules:
    _require_few(rules)
    groups: list[_Group] = []
    members: list[Glob] = []
    for number, rule in enumerate(rules):
        members.append(rule.glob)
        if number + 1 == len(rules) or rules[number + 1].takes_back != rule.takes_back:
            groups.append(_group(rule.takes_back, members))
            members = []
    return IgnoreRules(
        tuple("!" * rule.takes_back + rule.glob.text for rule in rules),
        tuple(groups),
        tuple(_names_of(rule.glob.text) for rule in rules if rule.takes_back),
    )


def _group(takes_back: bool, globs: list[Glob]) -> _Group:
    plain = frozenset(glob.text for glob in globs if _is_plain(glob))
    expressions = [glob.beginning for glob in globs if glob.beginning is not None and not _is_plain(glob)]
    joined = re.compile("|".join(f"(?:{expression})" for expression in expressions), re.DOTALL) if expressions else None
    return _Group(takes_back, plain, joined, tuple(glob.rule for glob in globs if isinstance(glob.rule, Automaton)))


def _is_plain(glob: Glob) -> bool:
    return not has_magic(glob.text) and "\\" not in glob.text


def _require_few(rules: list[_Rule]) -> None:
    """Refuse what would keep us busy for minutes or fill the memory: every path is held against every wildcard."""
    wild = sum(not _is_plain(rule.glob) for rule in rules)
    hard = sum(isinstance(rule.glob.rule, Automaton) for rule in rules)
    if wild > MOST_WILD or hard > MOST_HARD:
        raise BuildfileError(
            f"the ignore file has {wild} patterns with wildcards, {hard} of them intricate",
            hint=f"there may be {MOST_WILD}, and {MOST_HARD} like *a**b*c; names without wildcards are not counted",
        )


def _names_of(pattern: str) -> tuple[Glob | None, ...]:
    """A pattern name by name; None, the last then, stands for any names in any number."""
    names: list[Glob | None] = []
    for name in pattern.split("/"):
        if "**" in name or "[" in name or "\\" in name:
            return (*names, None)
        names.append(compile_glob(name))
    return tuple(names)


def _reaches_below(pattern: tuple[Glob | None, ...], names: list[str]) -> bool:
    """Whether a pattern may match something strictly below a directory. In doubt it may."""
    for part, name in zip(pattern, names, strict=False):
        if part is None:
            return True
        if not part.matches(name):
            return False
    return len(pattern) > len(names)
