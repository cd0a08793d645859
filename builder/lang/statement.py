"""One logical line cut into its parts: the instruction's name, its flags, its arguments.

What they mean is not known here. Each instruction has one of a few shapes (JSON or text, words, pairs, a nested
instruction); the shape decides how the arguments are cut. Quotes and variables stay in the words, except in flags,
which are unquoted here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from builder.declare import dataclass
from builder.errors import BuildfileError
from builder.lang.letters import BLANKS, SPACE_RUN, SPACES, clipped

_MOST_NESTED = 8


@dataclass(frozen=True, slots=True)
class Statement:
    """A cut line. `is_json`: the arguments were a JSON array. `nested`: what follows ONBUILD, whose arguments are none.

    Pairs of ENV and LABEL are three arguments each: name, value, and `=` or nothing (the form `ENV name value`).
    """

    name: str
    text: str
    flags: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    is_json: bool = False
    nested: Statement | None = None

    @property
    def innermost(self) -> Statement:
        """What runs in the end: the statement behind ONBUILD, or this one."""
        statement = self
        while statement.nested is not None:
            statement = statement.nested
        return statement


Arguments = tuple[tuple[str, ...], bool]
"""Arguments, and whether they were a JSON array."""


def read_statement(line: str, escape: str, depth: int = 0) -> Statement:
    """Cut a logical line. Raises BuildfileError (without a span) for arguments that have no meaning in their shape."""
    name, _, tail = _cut(line.strip(SPACES))
    flags, rest = _split_flags(tail, escape)
    rest = rest.strip(SPACES)
    if name.lower() == "onbuild":
        if depth >= _MOST_NESTED:
            raise BuildfileError("chaining ONBUILD isn't allowed", hint="write ONBUILD once, before the instruction")
        nested = read_statement(rest, escape, depth + 1) if rest else None
        return Statement(name, line, flags, nested=nested)
    shape = _SHAPES.get(name.lower(), _nothing)
    try:
        args, is_json = shape(rest, escape)
    except BuildfileError as error:
        raise BuildfileError(f"{name.upper()}: {error.message}", hint=error.hint) from None
    return Statement(name, line, flags, args, is_json)


def json_words(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON array, or None where `text` is no JSON array.

    Raises BuildfileError for an array that holds anything but strings: it is too near to be meant for a shell.
    """
    text = text.lstrip(SPACES)
    if not text.startswith("["):
        return None
    try:
        # Numbers are not converted: a number of a million digits would take its square in time.
        values = json.loads(text, parse_int=_no_number, parse_float=_no_number, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(value, str) for value in values):
        raise BuildfileError(
            f"an argument in JSON form must be an array of strings only: {clipped(text)}",
            hint='put each element in double quotes: ["one", "2"]',
        )
    return tuple(_whole_characters(value) for value in values)


def _no_number(text: str) -> None:
    """Stands for a number, whose value does not matter."""


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _whole_characters(text: str) -> str:
    """`text` with halves of surrogate pairs (a lone `\\ud800`) replaced, as they cannot be encoded."""
    if text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _cut(text: str) -> tuple[str, str, str]:
    found = BLANKS.search(text)
    return (text, "", "") if found is None else (text[: found.start()], found[0], text[found.end() :])


def _split_flags(line: str, escape: str) -> tuple[tuple[str, ...], str]:
    """The words at the beginning that start with `--`, unquoted, and what follows them; a bare `--` ends them."""
    flags: list[str] = []
    position = 0
    while True:
        while position < len(line) and line[position] in SPACES:
            position += 1
        if not line.startswith("--", position):
            return tuple(flags), line[position:]
        word, position = _flag_word(line, position, escape)
        if word == "--":
            return tuple(flags), line[position:]
        flags.append(word)


def _flag_word(line: str, position: int, escape: str) -> tuple[str, int]:
    word: list[str] = []
    quote = ""
    while position < len(line):
        character = line[position]
        if not quote and character in SPACES:
            break
        position += 1
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif character == escape:
            word.append(line[position : position + 1])
            position += 1
        else:
            word.append(character)
    return "".join(word), position


def shell_words(text: str, escape: str) -> list[str]:
    """The words of a text, cut at white space outside quotes; quotes and escapes stay in them."""
    words: list[str] = []
    word: list[str] = []
    quote = ""
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if not quote and character in SPACES:
            if word:
                words.append("".join(word))
                word.clear()
            continue
        if character == escape and quote != "'":
            if position == len(text):
                break  # an escape at the very end escapes nothing
            character += text[position]
            position += 1
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        word.append(character)
    if word:
        words.append("".join(word))
    return words


def _text(rest: str, _escape: str) -> Arguments:
    return ((rest,) if rest else ()), False


def _json_or_text(rest: str, escape: str) -> Arguments:
    words = json_words(rest)
    return _text(rest, escape) if words is None else (words, True)


def _blank_separated(rest: str, _escape: str) -> Arguments:
    return (tuple(BLANKS.split(rest)) if rest else ()), False


def _json_or_blank_separated(rest: str, escape: str) -> Arguments:
    words = json_words(rest)
    return _blank_separated(rest, escape) if words is None else (words, True)


def _quoted_words(rest: str, escape: str) -> Arguments:
    return tuple(shell_words(rest, escape)), False


def _pairs(rest: str, escape: str) -> Arguments:
    words = shell_words(rest, escape)
    if not words:
        return (), False
    if "=" not in words[0]:
        name, separator, value = _cut(rest)
        if not separator:
            raise BuildfileError(
                f"must have two arguments: {clipped(name)} has no value", hint=f"write {name[:60]}=VALUE"
            )
        return (name, value, ""), False
    args: list[str] = []
    for word in words:
        name, separator, value = word.partition("=")
        if not separator:
            raise BuildfileError(
                f"syntax error - can't find = in {clipped(word)}. Must be of the form: name=value",
                hint="put a value that has spaces in quotes",
            )
        args += (name, value, "=")
    return tuple(args), False


def _health(rest: str, escape: str) -> Arguments:
    if not rest:
        return (), False
    kind, *command = SPACE_RUN.split(rest, 1)
    args, is_json = _json_or_text(command[0] if command else "", escape)
    return (kind, *args), is_json


def _nothing(_rest: str, _escape: str) -> Arguments:
    return ("",), False


_SHAPES: Mapping[str, Callable[[str, str], Arguments]] = {
    "add": _json_or_blank_separated,
    "arg": _quoted_words,
    "cmd": _json_or_text,
    "copy": _json_or_blank_separated,
    "entrypoint": _json_or_text,
    "env": _pairs,
    "expose": _blank_separated,
    "from": _blank_separated,
    "healthcheck": _health,
    "label": _pairs,
    "maintainer": _text,
    "run": _json_or_text,
    "shell": _json_or_text,
    "stopsignal": _text,
    "user": _text,
    "volume": _json_or_blank_separated,
    "workdir": _text,
}

INSTRUCTIONS = frozenset(name.upper() for name in (*_SHAPES, "onbuild"))
"""Every instruction there is."""
