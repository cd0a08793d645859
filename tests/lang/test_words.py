"""Tests of quotes, escapes and variables."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import BuildfileError
from builder.lang.words import MAX_GROWTH, Rules, examine, expand, expand_list, expand_raw, split_line, unmatched
from tests.lang import data

_ENVIRONMENT = {"PWD": "/home", "SHELL": "bash", "KOREAN": "한국어", "NULL": ""}
_LOST_ENV = {"${FOO#()[]{\\}^$.\\*\\?|\\\\}": {"FOO": "()[]{}^$.*?|\\x"}}
"""A row of expansion.json has lost its environment on the way from BuildKit's test of the same input."""


@pytest.mark.parametrize("line", data.line_rows("shell/envVarTest"))
def test_env_var_table(line: str) -> None:
    """A word expands to what BuildKit's table says."""
    platform, word, expected = (part.strip() for part in line.split("|"))
    if platform == "W":
        pytest.skip("a row for Windows")
    if expected == "error":
        with pytest.raises(BuildfileError):
            expand(word, _ENVIRONMENT)
    else:
        assert expand(word, _ENVIRONMENT) == expected


@data.needed
def test_words_table() -> None:
    """A text is split into the words that BuildKit's table says, with the variables that its lines set."""
    scope: dict[str, str] = {}
    for line in data.lines("shell/wordsTest"):
        if line.startswith("ENV "):
            name, _, value = line.removeprefix("ENV ").partition("=")
            scope[name] = value
            continue
        word, _, expected = (part.lstrip() for part in line.partition("|"))
        try:
            words = ",".join(expand_list(word.rstrip(), scope))
        except BuildfileError:
            words = "error"
        assert words == expected, line


@pytest.mark.parametrize("row", data.rows("shell/expansion.json"))
def test_expansion_table(row: dict[str, Any]) -> None:
    """Every form with a modifier expands, fails and reports unset names as BuildKit's table says."""
    word, scope = row["input"], _LOST_ENV.get(row["input"], row["env"])
    assert unmatched(word, scope) == frozenset(row.get("unmatched", []))
    if row.get("error"):
        with pytest.raises(BuildfileError):
            expand(word, scope)
    else:
        assert expand(word, scope) == row["expected"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("`$x", "$x"),
        ("a`\\b", "a\\b"),
        ('"a`"b"', 'a"b'),
        ("a\\b", "a\\b"),
    ],
)
def test_other_escape(word: str, expected: str) -> None:
    """With a backquote as the escape a backslash is plain text."""
    assert expand(word, {"x": "1"}, "`") == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("\"$x\" 'y'\n", "\"1\" 'y'\n"),
        ("\\$x \\\\ it's\n", "$x \\ it's\n"),
        ("${x:-a\nb}${nope:-a\nb}", "1a\nb"),
        ("<<EOF", "<<EOF"),
    ],
)
def test_heredoc_bodies(body: str, expected: str) -> None:
    """A here-document keeps its quotes and loses its escapes."""
    assert expand_raw(body, {"x": "1"}) == expected


def test_heredoc_bodies_always_use_the_backslash() -> None:
    """The escape directive does not reach into here-documents."""
    assert expand_raw("\\$x `$x", {"x": "1"}, "`") == "$x `1"


def test_names_that_were_asked_for() -> None:
    """An expansion tells the names it used, those in defaults that were not needed among them."""
    seen = examine("$a ${b:-$c} '$d'", {"a": "1", "b": "2"}, Rules())
    assert (seen.text, sorted(seen.matched), sorted(seen.unmatched)) == ("1 2 $d", ["a", "b"], ["c"])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("${x?tell me}", "x: tell me"),
        ("${e:?}", "e: is not allowed to be empty"),
        ("${x?}", "x: is not allowed to be unset"),
        ("${a^}", "unsupported modifier"),
        ("${a:x}", "unsupported modifier"),
        ("${a#\\q}", "invalid escape"),
        ("${a/b}", "missing '/'"),
        ("${a", "missing '}'"),
        ("${}", "bad substitution"),
        ("'a", "single-quote"),
        ('"a', "double-quote"),
    ],
)
def test_messages(word: str, message: str) -> None:
    """An error says what is wrong in which word, and gives a hint."""
    with pytest.raises(BuildfileError) as caught:
        expand(word, {"a": "v", "e": ""})
    assert message in caught.value.message
    assert word[:3] in caught.value.message
    assert caught.value.hint
    assert caught.value.span is None


def test_nesting_has_a_limit() -> None:
    """Variables nested without end are an error, not a crash."""
    with pytest.raises(BuildfileError, match="nested"):
        expand("${a:-" * 100_000, {})


def test_nesting_below_the_limit_works() -> None:
    """Forty levels are fine."""
    assert expand("${a:-" * 40 + "x" + "}" * 40, {}) == "x"


@pytest.mark.parametrize(
    "word", ["$v" * 20, "${v#x}" * 20, "${v//y/$v}", "${v//a/$v}", "${w:-$v$v$v$v$v$v$v$v$v$v$v$v$v}"]
)
def test_growth_has_a_limit(word: str) -> None:
    """A word that would become huge is refused before it is."""
    with pytest.raises(BuildfileError, match=r"(more|longer) than"):
        expand(word, {"v": "ay" * (MAX_GROWTH // 20)})


@pytest.mark.parametrize("word", ["$" * 300_000, "${a}" * 100_000, '"' * 300_000, "\\" * 300_001, "a b " * 100_000])
def test_long_words_take_no_time(word: str) -> None:
    """Time grows with the length and not faster."""
    started = time.process_time()
    expand_list(word, {"a": "b"})
    expand_raw(word, {"a": "b"})
    assert time.process_time() - started < 5


def test_split_line_keeps_variables() -> None:
    """The reader of here-document marks leaves every variable as it is written."""
    line = "a $b ${c} ${d:-e} ${f#g} ${h/i/j} \"k\" 'l' \\m"
    assert split_line(line, keep_quotes=True, keep_escapes=True) == line.split(" ")


_PIECES = st.sampled_from(
    [
        "$",
        "{",
        "}",
        "${",
        "a",
        "b",
        "nope",
        ":",
        "-",
        "+",
        "?",
        "#",
        "%",
        "/",
        "*",
        "'",
        '"',
        "\\",
        "`",
        "<",
        " ",
        "\n",
        "é",
    ]
)
_TEXTS = st.lists(_PIECES, max_size=25).map("".join) | st.text(max_size=30)


@settings(max_examples=500, deadline=None)
@given(_TEXTS, st.sampled_from("\\`"))
def test_any_text_expands_or_is_refused(text: str, escape: str) -> None:
    """No text does anything but expand or raise a BuildfileError with a message."""
    scope = {"a": "value*", "b": ""}
    for function in (expand, expand_list, expand_raw):
        try:
            function(text, scope, escape)
        except BuildfileError as error:
            assert error.message
    assert unmatched(text, scope, escape).isdisjoint(scope)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters="'"), max_size=30))
def test_single_quotes_keep_everything(text: str) -> None:
    """What is in single quotes comes out as it went in."""
    assert expand(f"'{text}'", {"a": "b"}) == text


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.sampled_from("\\`"))
def test_escaped_text_keeps_everything(text: str, escape: str) -> None:
    """An escape before every character makes any text mean itself."""
    assert expand("".join(escape + character for character in text), {}, escape) == text
