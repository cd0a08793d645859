"""Quotes, escapes and variables: how a word of an instruction becomes text. Nothing here knows about instructions.

Source: the Dockerfile reference, "Environment replacement"; POSIX XCU 2.2 and 2.6.2; where they are silent, the
behaviour of BuildKit's frontend. One pass from left to right. Nesting is at most MAX_DEPTH deep, and no expansion is
longer than its text and MAX_GROWTH characters together, so that no input costs more than its size allows.
"""

from __future__ import annotations

from collections.abc import Mapping

from builder.declare import dataclass, field
from builder.errors import BuildfileError
from builder.lang.letters import SPACE_RUN, clipped, is_name_part, is_name_start
from builder.pattern import pattern

Scope = Mapping[str, str]

MAX_DEPTH = 50
MAX_GROWTH = 1 << 20

_PLAIN = pattern(r"[^$<'\"`\\}/]++")
_MARKS = pattern(r"[$'\"<]")
_SPECIAL_PARAMETERS = frozenset("@*#?-$!0")
_EMPTY: Scope = {}


@dataclass(frozen=True, slots=True)
class Rules:
    """What is taken away and what stays: quotes are read or plain text, marks are removed or kept."""

    escape: str = "\\"
    read_quotes: bool = True
    keep_quotes: bool = False
    keep_escapes: bool = False
    keep_unset: bool = False


@dataclass(frozen=True, slots=True)
class Expanded:
    """A text's expansion, as one word and cut at white space; the names it asked for, set and not set."""

    text: str
    words: tuple[str, ...]
    matched: frozenset[str]
    unmatched: frozenset[str]


def expand(word: str, scope: Scope, escape: str = "\\") -> str:
    """`word` with its variables replaced and its quotes removed. Raises BuildfileError without a span."""
    return examine(word, scope, Rules(escape)).text


def expand_list(word: str, scope: Scope, escape: str = "\\") -> list[str]:
    """The words of a text: white space outside quotes separates, that of variables' values too."""
    return list(examine(word, scope, Rules(escape)).words)


def expand_raw(text: str, scope: Scope, escape: str = "\\") -> str:
    """A here-document's body with its variables replaced; quotes are text, and the escape is always a backslash."""
    del escape  # a body is read as a shell would, whatever the escape directive says
    return examine(text, scope, Rules(read_quotes=False)).text


def unmatched(word: str, scope: Scope, escape: str = "\\") -> frozenset[str]:
    """The names that `word` asks for and `scope` lacks, even where a default stands in or the expansion fails."""
    reader = _Reader(word, scope, Rules(escape))
    try:
        reader.read_all()
    except BuildfileError:
        pass
    return frozenset(reader.unmatched)


def examine(word: str, scope: Scope, rules: Rules) -> Expanded:
    """All that an expansion yields. Raises BuildfileError without a span."""
    if not _MARKS.search(word) and rules.escape not in word:
        return Expanded(word, tuple(part for part in SPACE_RUN.split(word) if part), frozenset(), frozenset())
    reader = _Reader(word, scope, rules)
    try:
        text, words = reader.read_all()
    except BuildfileError as error:
        raise BuildfileError(f"{error.message} (in {clipped(word)})", hint=error.hint) from None
    return Expanded(text, tuple(words), frozenset(reader.matched), frozenset(reader.unmatched))


def split_line(line: str, keep_quotes: bool, keep_escapes: bool) -> list[str]:
    """A line's words as a shell's reader sees them, variables kept. Raises BuildfileError without a span."""
    rules = Rules(keep_quotes=keep_quotes, keep_escapes=keep_escapes, keep_unset=True)
    return list(examine(line, _EMPTY, rules).words)


@dataclass(slots=True)
class _Words:
    """Collects words: plain text is cut at white space, quoted text is not. A word without characters is none."""

    done: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)

    def add_text(self, text: str) -> None:
        parts = SPACE_RUN.split(text)
        self.current.append(parts[0])
        for part in parts[1:]:
            self.finish()
            self.current.append(part)

    def add_raw(self, text: str) -> None:
        self.current.append(text)

    def finish(self) -> list[str]:
        word = "".join(self.current)
        if word:
            self.done.append(word)
        self.current.clear()
        return self.done


class _Reader:
    """One reading of one text; `position` only grows."""

    def __init__(self, text: str, scope: Scope, rules: Rules) -> None:
        self.text = text
        self.scope = scope
        self.rules = rules
        self.position = 0
        self.depth = 0
        self.room = MAX_GROWTH
        self.matched: set[str] = set()
        self.unmatched: set[str] = set()

    def read_all(self) -> tuple[str, list[str]]:
        return self.until("", self.rules.keep_escapes)

    def peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def take(self) -> str:
        character = self.text[self.position : self.position + 1]
        self.position += 1
        return character

    def until(self, stop: str, keep_escapes: bool) -> tuple[str, list[str]]:
        """Reads up to the character `stop` (which is taken) or, where that is empty, to the end."""
        self.deeper()
        result: list[str] = []
        words = _Words()
        while self.position < len(self.text):
            plain = _PLAIN.match(self.text, self.position)
            if plain is not None:
                self.position = plain.end()
                result.append(plain[0])
                words.add_text(plain[0])
                continue
            if self.peek() == stop:
                self.position += 1
                self.depth -= 1
                return "".join(result), words.finish()
            result.append(self.special(words, keep_escapes))
        if stop:
            raise _unclosed(f"unexpected end of statement while looking for matching {stop}", stop)
        self.depth -= 1
        return "".join(result), words.finish()

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise BuildfileError(
                f"variables are nested more than {MAX_DEPTH} deep",
                hint="set inner values with an ARG or ENV of their own",
            )

    def special(self, words: _Words, keep_escapes: bool) -> str:
        """One character that may mean something, and what belongs to it."""
        character = self.peek()
        if character == "$":
            value = self.dollar()
            words.add_text(value)
            return value
        if character in "'\"" and self.rules.read_quotes:
            text = self.single_quoted() if character == "'" else self.double_quoted(keep_escapes)
        elif character == "<":
            text = self.less()
        elif character == self.rules.escape:
            text = self.escaped(keep_escapes)
        else:
            text = self.take()
        words.add_raw(text)
        return text

    def escaped(self, keep_escapes: bool) -> str:
        mark = self.take()
        return (mark if keep_escapes else "") + self.take()

    def less(self) -> str:
        """A here-document's mark; the white space behind it belongs to the word, so that `<< EOF` is one."""
        start = self.position
        self.position += 1
        if self.peek() == "<":
            self.position += 1
            while self.peek() and self.peek() in "\t\r ":
                self.position += 1
        return self.text[start : self.position]

    def single_quoted(self) -> str:
        end = self.text.find("'", self.position + 1)
        if end < 0:
            raise _unclosed("unexpected end of statement while looking for matching single-quote", "'")
        start, self.position = self.position, end + 1
        return self.text[start : end + 1] if self.rules.keep_quotes else self.text[start + 1 : end]

    def double_quoted(self, keep_escapes: bool) -> str:
        quote = '"' if self.rules.keep_quotes else ""
        self.position += 1
        result = [quote]
        while self.position < len(self.text):
            plain = _PLAIN.match(self.text, self.position)
            if plain is not None:
                self.position = plain.end()
                result.append(plain[0])
            elif self.peek() == '"':
                self.position += 1
                return "".join(result) + quote
            elif self.peek() == "$":
                result.append(self.dollar())
            elif self.peek() == self.rules.escape:
                result.append(self.escaped_in_quotes(keep_escapes))
            else:
                result.append(self.take())
        raise _unclosed("unexpected end of statement while looking for matching double-quote", '"')

    def escaped_in_quotes(self, keep_escapes: bool) -> str:
        """In double quotes an escape works before `"`, `$` and itself; else it is text, and so doubled when kept."""
        mark = self.take()
        kept = mark if keep_escapes else ""
        following = self.peek()
        if not following:
            return kept
        return kept + (self.take() if following in ('"', "$", self.rules.escape) else mark)

    def dollar(self) -> str:
        """`$name`, `${…}`, or a dollar that means itself."""
        self.position += 1
        if self.peek() != "{":
            name = self.name()
            return "$" if not name else self.plain_value(name, f"${name}")
        self.position += 1
        if not self.peek():
            raise _unclosed("syntax error: missing '}'", "}")
        if self.peek() in "{}:":
            raise BuildfileError("syntax error: bad substitution", hint="a name goes between the braces: ${NAME}")
        return self.braced(self.name())

    def braced(self, name: str) -> str:
        """What follows the name in `${name…}`."""
        mark = self.take()
        if mark == "}":
            return self.plain_value(name, f"${{{name}}}")
        if not mark:
            raise _unclosed("syntax error: missing '}'", "}")
        if mark == "/":
            return self.replaced(name)
        modifier = mark + self.take() if mark == ":" else mark
        kind = modifier[-1]
        if kind not in "+-?#%" or modifier in (":", ":#", ":%"):
            raise _unsupported(modifier)
        word = self.modifier_word(kind)
        if self.rules.keep_unset and name not in self.scope:
            return f"${{{name}{modifier}{word}}}"
        if kind in "#%":
            return self.trimmed(name, kind, word)
        return self.substituted(name, modifier, word)

    def modifier_word(self, kind: str) -> str:
        word, _ = self.until("}", keep_escapes=kind in "#%")
        return word

    def substituted(self, name: str, modifier: str, word: str) -> str:
        """The forms with `-`, `+` and `?`, with or without a colon (which takes an empty value for none)."""
        value = self.look_up(name)
        absent = value is None or (not value and modifier[0] == ":")
        match modifier[-1]:
            case "-":
                return word if value is None or absent else self.used(value)
            case "+":
                return "" if absent else word
            case _:
                if value is None:
                    raise BuildfileError(f"{name}: {word or 'is not allowed to be unset'}", hint=_give(name))
                if absent:
                    raise BuildfileError(f"{name}: {word or 'is not allowed to be empty'}", hint=_give(name))
                return self.used(value)

    def trimmed(self, name: str, kind: str, word: str) -> str:
        from builder.lang.shellpattern import without_prefix, without_suffix  # few Buildfiles have patterns

        value = self.used(self.look_up(name) or "")
        longest = word.startswith(kind)
        pattern = word[1:] if longest else word
        return (without_suffix if kind == "%" else without_prefix)(value, pattern, longest)

    def replaced(self, name: str) -> str:
        from builder.lang.shellpattern import with_all_replaced, with_first_replaced

        every = self.peek() == "/"
        if every:
            self.position += 1
        pattern, _ = self.until("/", keep_escapes=True)
        replacement, _ = self.until("}", keep_escapes=True)
        if self.rules.keep_unset and name not in self.scope:
            return f"${{{name}/{pattern}/{replacement}}}"
        value = self.used(self.look_up(name) or "")
        if not every:
            return with_first_replaced(value, pattern, replacement)
        result = with_all_replaced(value, pattern, replacement, self.room)
        self.used(result)
        return result

    def plain_value(self, name: str, as_written: str) -> str:
        value = self.look_up(name)
        if value is None:
            return as_written if self.rules.keep_unset else ""
        return self.used(value)

    def look_up(self, name: str) -> str | None:
        value = self.scope.get(name)
        (self.unmatched if value is None else self.matched).add(name)
        return value

    def used(self, value: str) -> str:
        """A value that goes into the result, counted against the room there is."""
        self.room -= len(value)
        if self.room < 0:
            raise BuildfileError(f"variables expand to more than {MAX_GROWTH} characters")
        return value

    def name(self) -> str:
        """A variable's name, digits in a row, one special character, or nothing."""
        start = self.position
        first = self.peek()
        if first.isdecimal():
            while self.peek().isdecimal():
                self.position += 1
        elif first in _SPECIAL_PARAMETERS:
            self.position += 1
        elif first and is_name_start(first):
            while self.peek() and is_name_part(self.peek()):
                self.position += 1
        return self.text[start : self.position]


def _unclosed(message: str, mark: str) -> BuildfileError:
    if mark == "}":
        return BuildfileError(message, hint="close the ${ with a }")
    if mark == "/":
        return BuildfileError("syntax error: missing '/' in ${}", hint="a replacement is ${NAME/PATTERN/TEXT}")
    return BuildfileError(
        message, hint=f"close the quote, or put the escape character before a {mark} that is meant as such"
    )


def _unsupported(modifier: str) -> BuildfileError:
    return BuildfileError(
        f"unsupported modifier ({modifier}) in substitution",
        hint="there are :- - :+ + :? ? # ## % %% / and // after a name",
    )


def _give(name: str) -> str:
    return f"give a value with --build-arg {name}=… (after an ARG {name}), or set it with ENV"
