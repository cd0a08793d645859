"""Patterns for paths: `*`, `?`, `[a-z]`, a backslash before any of them, and `**` for any number of directories.

Paths are text, relative, separated by `/`. Most patterns become one regular expression that cannot backtrack without
bound: atomic groups take the earliest place of every part, which leaves the most room for the rest. The few that this
does not hold for are run by `lang.automaton`. Sources: Go's filepath.Match for the syntax and what is malformed;
moby/patternmatcher for `**`: at the beginning any end of a path, at the end any beginning, in the middle whole
directories.
"""

from __future__ import annotations

import functools
import re

from builder.declare import dataclass
from builder.errors import BuildfileError
from builder.lang.automaton import Automaton, Wild
from builder.lang.letters import clipped

_EASY = 2  # with so many wildcards of variable length even plain backtracking is cheap


@dataclass(frozen=True, slots=True)
class One:
    """One character of a pattern as a regular expression; `slash` where it may be a `/`."""

    expression: str
    slash: bool = False


Token = One | Wild


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern that has been read, as an expression or as an automaton. Expressions are compiled when they are first
    needed: an ignore file may have a hundred thousand, and never matches one by itself.
    """

    text: str
    rule: str | Automaton

    @property
    def beginning(self) -> str | None:
        """The expression that `matches_with_parents` looks for, if there is one."""
        return None if isinstance(self.rule, Automaton) else self.rule + r"(?:/|\Z)"

    def matches(self, path: str) -> bool:
        """Whether the whole path matches."""
        if isinstance(self.rule, Automaton):
            return self.rule.accepts(path)
        return _expression(self.rule).fullmatch(path) is not None

    def matches_with_parents(self, path: str) -> bool:
        """Whether the path or one of the directories it lies in matches."""
        if isinstance(self.rule, Automaton):
            return self.rule.accepts_beginning(path)
        return _expression(self.rule + r"(?:/|\Z)").match(path) is not None


@functools.lru_cache(maxsize=4096)
def _expression(text: str) -> re.Pattern[str]:
    return re.compile(text, re.DOTALL)


def compile_glob(pattern: str) -> Glob:
    """A pattern of an ignore file or of `--exclude`, with `**`. Raises BuildfileError for a malformed one."""
    tokens = _tokens(pattern)
    rest = pattern[2:]
    if pattern.startswith("**") and rest and rest[0] not in "/*" and not has_magic(rest) and "\\" not in rest:
        # `**name` is any path with that end, wherever names begin; with a wildcard in it, it is not.
        return _compiled(pattern, [Wild.ALL, *tokens[2:]])
    return _compiled(pattern, _deepened(tokens))


def compile_match(pattern: str) -> Glob:
    """A wildcard of COPY or ADD, in which `**` is no more than `*`. Raises BuildfileError for a malformed one."""
    tokens: list[Token] = []
    for token in _tokens(pattern):
        if not (token is Wild.STAR and tokens and tokens[-1] is Wild.STAR):
            tokens.append(token)
    return _compiled(pattern, tokens)


def has_magic(text: str) -> bool:
    """Whether a path is a pattern: it holds `*`, `?` or `[` without a backslash before it."""
    position = 0
    while position < len(text):
        if text[position] in "*?[":
            return True
        position += 2 if text[position] == "\\" else 1
    return False


def _tokens(pattern: str) -> list[Token]:
    """The pattern's parts, each star by itself."""
    tokens: list[Token] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            tokens.append(Wild.STAR)
        elif character == "?":
            tokens.append(One("[^/]"))
        elif character == "[":
            token, position = _class(pattern, position)
            tokens.append(token)
        elif character == "\\":
            if position == len(pattern):
                raise _malformed(pattern, "nothing follows the backslash at its end")
            tokens.append(_literal(pattern[position]))
            position += 1
        else:
            tokens.append(_literal(character))
    return tokens


def _literal(character: str) -> One:
    return One(re.escape(character), slash=character == "/")


def _class(pattern: str, position: int) -> tuple[One, int]:
    """A character class whose `[` has been read."""
    negated = pattern.startswith("^", position)
    position += negated
    ranges: list[str] = []
    slash = False
    while not (ranges and pattern.startswith("]", position)):
        low, position = _class_character(pattern, position)
        high = low
        if pattern.startswith("-", position):
            high, position = _class_character(pattern, position + 1)
        # A range that is upside down holds nothing.
        ranges.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
        slash = slash or low <= "/" <= high
    inside = "".join(ranges)
    if not inside:
        return One("(?s:.)" if negated else "(?!)", slash=negated), position + 1
    return One(f"[{'^' * negated}{inside}]", slash=slash != negated), position + 1


def _class_character(pattern: str, position: int) -> tuple[str, int]:
    character = pattern[position : position + 1]
    if character in ("", "-", "]"):
        raise _malformed(pattern, "a character class is not closed, or holds a - or ] without a backslash before it")
    if character == "\\":
        position += 1
        character = pattern[position : position + 1]
    if position + 1 >= len(pattern):
        raise _malformed(pattern, "a character class is not closed")
    return character, position + 1


def _malformed(pattern: str, why: str) -> BuildfileError:
    return BuildfileError(
        f"syntax error in the pattern {clipped(pattern)}: {why}",
        hint="a backslash before * ? [ or \\ makes it plain text",
    )


def _deepened(tokens: list[Token]) -> list[Token]:
    """The tokens with two stars in a row (and a `/` right behind them) made one."""
    result: list[Token] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        position += 1
        if token is Wild.STAR and position < len(tokens) and tokens[position] is Wild.STAR:
            position += 1
            if position < len(tokens) and tokens[position] == _SLASH:
                position += 1
            token = Wild.DEEP if position < len(tokens) else Wild.ALL
            if token is Wild.DEEP and result and result[-1] is Wild.DEEP:
                continue
        result.append(token)
    return result


_SLASH = _literal("/")


def _compiled(pattern: str, tokens: list[Token]) -> Glob:
    variable = sum(isinstance(token, Wild) for token in tokens)
    if variable <= _EASY:
        expression = "".join(_EXPRESSIONS[token] if isinstance(token, Wild) else token.expression for token in tokens)
    elif _is_regular(tokens):
        expression = _atomic(tokens)
    else:
        automaton = Automaton.of(
            [token if isinstance(token, Wild) else re.compile(token.expression) for token in tokens]
        )
        return Glob(pattern, automaton)
    return Glob(pattern, expression)


_EXPRESSIONS = {Wild.STAR: "[^/]*", Wild.DEEP: "(?:.*/)?", Wild.ALL: ".*"}


def _is_regular(tokens: list[Token]) -> bool:
    """Whether names and directories stay apart: no class takes a `/`, and `**` stands for whole directories."""
    for number, token in enumerate(tokens):
        if isinstance(token, One) and token.slash and token != _SLASH:
            return False
        if token is Wild.DEEP and number and tokens[number - 1] not in (_SLASH, Wild.DEEP):
            return False
    return True


def _atomic(tokens: list[Token]) -> str:
    """An expression without open-ended backtracking for a regular pattern.

    What stands between two `**` is a fixed number of whole names. Where several places fit, the earliest leaves all the
    later directories to the rest, so that no other place need be tried; the same holds for the parts of a name between
    its stars.
    """
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token is Wild.DEEP:
            parts.append([])
        else:
            parts[-1].append(token)
    first, *others = [_names(part) for part in parts]
    if not others:
        return first
    middle = "".join(f"(?>(?:.*?/)??{part})" for part in others[:-1])
    return f"(?>{first}){middle}(?:.*/)?{others[-1]}"


def _names(tokens: list[Token]) -> str:
    """Names and the slashes between them."""
    result: list[str] = []
    name: list[Token] = []
    for token in tokens:
        if token == _SLASH:
            result += (_name(name), "/")
            name = []
        else:
            name.append(token)
    return "".join(result) + _name(name)


def _name(tokens: list[Token]) -> str:
    """One name: its parts between stars, all but the first and the last taken at their earliest place."""
    parts = [""]
    end = ""
    for token in tokens:
        if token is Wild.ALL:
            end = ".*"
        elif token is Wild.STAR:
            parts.append("")
        elif isinstance(token, One):
            parts[-1] += token.expression
    first, *others = parts
    if not others:
        return first + end
    middle = "".join(f"(?>[^/]*?{part})" for part in others[:-1])
    return f"{first}{middle}[^/]*{others[-1]}{end}"
