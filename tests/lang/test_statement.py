"""Tests of cutting a line into name, flags and arguments."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import BuildfileError
from builder.lang.statement import INSTRUCTIONS, json_words, read_statement, shell_words


@pytest.mark.parametrize(
    ("line", "flags", "args"),
    [
        ("COPY --a --b=c d e", ("--a", "--b=c"), ("d", "e")),
        ("COPY --a='b c' \"--d\" e", ("--a=b c",), ('"--d"', "e")),
        ('COPY --a=b\\ c\\" d', ('--a=b c"',), ("d",)),
        ('COPY --a="b\'c" d', ("--a=b'c",), ("d",)),
        ("COPY --a -- --b c", ("--a",), ("--b", "c")),
        ("RUN --a -- --b c", ("--a",), ("--b c",)),
        ("RUN --a --", ("--a",), ()),
        ("RUN -a", (), ("-a",)),
        ("RUN --é=ü x", ("--é=ü",), ("x",)),
        ("\tRUN\v\fx  y ", (), ("x  y",)),
    ],
)
def test_flags(line: str, flags: tuple[str, ...], args: tuple[str, ...]) -> None:
    """Words that begin with -- are flags up to the first that does not, or to a bare --."""
    statement = read_statement(line, "\\")
    assert (statement.flags, statement.args) == (flags, args)


@pytest.mark.parametrize(
    ("line", "args", "is_json"),
    [
        ('CMD ["a", "b c"]', ("a", "b c"), True),
        ("CMD []", (), True),
        ("CMD ['a']", ("['a']",), False),
        ('CMD ["a"', ('["a"',), False),
        ('CMD ["a"] x', ('["a"] x',), False),
        ('CMD ["a",]', ('["a",]',), False),
        ('CMD ["\\u00e9\\n\\ud83d\\ude00"]', ("é\n😀",), True),
        ('CMD ["\\ud800"]', ("\ufffd",), True),
        ("CMD [NaN]", ("[NaN]",), False),
        ('VOLUME ["/a b"]', ("/a b",), True),
        ('VOLUME ["/a" "/b"]', ('["/a"', '"/b"]'), False),
        ('COPY ["a b", "/c"]', ("a b", "/c"), True),
        ('EXPOSE ["80"]', ('["80"]',), False),
        ('HEALTHCHECK CMD ["a"]', ("CMD", "a"), True),
        ("HEALTHCHECK   cmd   a  b", ("cmd", "a  b"), False),
        ("HEALTHCHECK", (), False),
    ],
)
def test_json(line: str, args: tuple[str, ...], is_json: bool) -> None:
    """A JSON array of strings is the JSON form; what is not quite JSON is text."""
    statement = read_statement(line, "\\")
    assert (statement.args, statement.is_json) == (args, is_json)


@pytest.mark.parametrize("line", ["CMD [1, 2]", 'RUN ["a", ["b"]]', "SHELL [null]", 'COPY ["a", {"b": 1e999}]'])
def test_json_of_other_things(line: str) -> None:
    """A JSON array of anything but strings is an error that says so."""
    with pytest.raises(BuildfileError, match="string") as caught:
        read_statement(line, "\\")
    assert caught.value.message.startswith(line.split()[0])


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, "[" + "1" * 100_000 + "x"])
def test_deep_and_long_json_is_text(text: str) -> None:
    """Nesting without end and endless numbers are no JSON form and no crash."""
    started = time.process_time()
    assert json_words(text) is None
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("line", "args"),
    [
        ("ENV a=b c='d e' f=\"g h\" i=j\\ k", ("a", "b", "=", "c", "'d e'", "=", "f", '"g h"', "=", "i", "j\\ k", "=")),
        ("ENV a b  c=d", ("a", "b  c=d", "")),
        ("ENV a==b=c", ("a", "=b=c", "=")),
        ('LABEL "a b"=c', ('"a b"', "c", "=")),
        ("ENV a=", ("a", "", "=")),
        ("ENV", ()),
    ],
)
def test_pairs(line: str, args: tuple[str, ...]) -> None:
    """Pairs keep their quotes; without = in the first word all that follows it is its value."""
    assert read_statement(line, "\\").args == args


@pytest.mark.parametrize(("line", "message"), [("ENV a", "two arguments"), ("LABEL a=b c", "can't find =")])
def test_bad_pairs(line: str, message: str) -> None:
    """A name without a value is an error."""
    with pytest.raises(BuildfileError, match=message):
        read_statement(line, "\\")


def test_onbuild_is_nested() -> None:
    """ONBUILD holds a statement."""
    statement = read_statement("onbuild run --a=b c", "\\")
    assert statement.nested is not None
    assert (statement.innermost.name, statement.innermost.flags, statement.innermost.args) == (
        "run",
        ("--a=b",),
        ("c",),
    )


def test_onbuild_without_end() -> None:
    """A long chain of ONBUILD is an error, not a crash."""
    with pytest.raises(BuildfileError, match="ONBUILD"):
        read_statement("ONBUILD " * 100_000, "\\")


def test_unknown_instruction_has_no_arguments() -> None:
    """What an unknown instruction's arguments mean is not asked."""
    assert read_statement("WIBBLE [1]", "\\").args == ("",)


def test_all_instructions_are_known() -> None:
    """Eighteen instructions."""
    assert len(INSTRUCTIONS) == 18


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('a  \'b c\'d "e\\" f"', ["a", "'b c'd", '"e\\" f"']),
        ("a\\ b\\", ["a\\ b"]),
        ("'a\\' b", ["'a\\'", "b"]),
        ('"a b', ['"a b']),
        ("''", ["''"]),
    ],
)
def test_shell_words(text: str, words: list[str]) -> None:
    """White space outside quotes separates; quotes and escapes stay."""
    assert shell_words(text, "\\") == words


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(INSTRUCTIONS)), st.text(max_size=40), st.sampled_from("\\`"))
def test_any_line_is_cut_or_refused(name: str, rest: str, escape: str) -> None:
    """No line does anything but fall into parts or raise a BuildfileError."""
    try:
        statement = read_statement(f"{name} {rest}", escape)
    except BuildfileError as error:
        assert error.message
    else:
        assert statement.name.startswith(name)
