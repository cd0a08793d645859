"""Tests of whole Buildfiles, triggers, and what no input may do."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import BuildfileError
from builder.lang.grammar import parse, parse_trigger
from builder.source import SourceText
from builder.values.instruction import Copy, Directives, Onbuild, Run, ShellForm
from tests.lang import data
from tests.lang.reading import error_of, instruction, parsed


def test_blocks() -> None:
    """ARGs before the first FROM are global; every FROM begins a block with a number."""
    buildfile = parsed("# escape=`\nARG A=1\nARG B\nFROM a AS X\nARG C\nFROM b\n")
    assert buildfile.directives == Directives("`")
    assert [arg.pairs for arg in buildfile.global_args] == [(("A", "1"),), (("B", None),)]
    assert [(block.index, block.from_.alias, len(block.instructions)) for block in buildfile.blocks] == [
        (0, "x", 1),
        (1, None, 0),
    ]


def test_spans_and_originals() -> None:
    """An instruction knows its lines and its text on one line."""
    run = parsed("FROM a\n\nrun a && \\\n # no\n\n b\n").blocks[0].instructions[0]
    assert (run.span.first, run.span.last, run.original) == (3, 6, "run a &&  b")


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("", "there are no instructions", "Buildfile:1"),
        ("# a\n# b\n", "there are no instructions", "Buildfile:1"),
        ("ARG A\n", "no stages to build", "Buildfile:1"),
        ("ARG A\nRUN b\n", "no build stage in current context", "Buildfile:2"),
        ("FROM a\nENV A=1\n\n# c\n\nWIBBLE 1\n", "unknown instruction", "Buildfile:6"),
        ("\\\n", "unknown instruction", "Buildfile:1"),
        ("# check=bogus\nFROM a\n", "invalid check option", "Buildfile:1"),
        ("# syntax=x\n# check=error=maybe\nFROM a\n", "check option error", "Buildfile:2"),
        ("\x7fELF\x02\x01\0\0\n\0\n", "unknown instruction", "Buildfile:1"),
    ],
)
def test_errors_of_whole_files(text: str, message: str, place: str) -> None:
    """What is wrong with a file as a whole has a place too."""
    error = error_of(text)
    assert message in error.message
    assert str(error.span) == place


@pytest.mark.parametrize("folder", data.folders("parser/testfiles-negative"))
def test_negative_files(folder: Path) -> None:
    """The files that BuildKit's parser refuses are refused."""
    with pytest.raises(BuildfileError):
        parsed(data.text_of(folder / "Dockerfile"))


def _text_of(case: dict[str, Any]) -> str:
    lines = case["buildfile"]
    text = lines if isinstance(lines, str) else "".join(line + "\n" for line in lines)
    return re.sub(r"@([A-Z]+)@", lambda found: found[1].lower(), text)


_REFUSED_HERE = re.compile(
    r"parse-.*|env-blank-name|arg-invalid-name|heredoc-unterminated|shell-needs-json|healthcheck-bad-duration|"
    r"onbuild-from-is-refused|volume-empty-name"
)
_GROUPS = (
    *("parse", "env", "arg", "heredoc", "mount", "healthcheck", "shell", "onbuild", "expose", "volume", "copy"),
    *("add", "stage", "user", "workdir", "run", "cmd", "label", "cache", "layer", "repro", "history", "ignore"),
)


@pytest.mark.parametrize("case", data.cases(*_GROUPS))
def test_conformance_cases(case: dict[str, Any]) -> None:
    """A case's Buildfile is read, or refused with the words that the case asks for where its text is at fault."""
    expect = case.get("expect") or {}
    try:
        parsed(_text_of(case))
    except BuildfileError as error:
        said = f"{error.span}: {error.message}"
        assert expect.get("exit") == "fail", said
        assert re.search(expect["error"], said, re.IGNORECASE | re.DOTALL), said
    else:
        assert expect.get("exit") != "fail" or not _REFUSED_HERE.fullmatch(case["name"])


def test_onbuild() -> None:
    """ONBUILD records its instruction's text, and knows what it says."""
    onbuild = instruction("onbuild  copy --from=x a \\\n  b")
    assert isinstance(onbuild, Onbuild)
    assert onbuild.trigger == "copy --from=x a   b"
    assert isinstance(onbuild.instruction, Copy)
    assert onbuild.instruction.span == onbuild.span


@pytest.mark.parametrize(
    "text",
    [
        "ONBUILD RUN <<EOF cat\n\ta $b\nEOF",
        "ONBUILD RUN <<-EOF cat\n\ta\n\tEOF",
        "ONBUILD COPY <<a <<'b' /x/\n1\na\n2\nb",
        "ONBUILD RUN <<EOF\nEOF",
        "ONBUILD ENV a b  c",
        'ONBUILD CMD ["a"]',
    ],
)
def test_triggers_are_read_again(text: str) -> None:
    """The recorded text, here-documents and all, is the same instruction when it is read again."""
    onbuild = instruction(text)
    assert isinstance(onbuild, Onbuild)
    again = parse_trigger(onbuild.trigger, SourceText("ONBUILD of x", onbuild.trigger), "\\")
    expected = onbuild.instruction
    for name in type(expected).__slots__:
        if name not in ("span", "original"):
            assert getattr(again, name) == getattr(expected, name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ONBUILD", "ONBUILD requires at least one argument"),
        ("ONBUILD ONBUILD RUN a", "chaining ONBUILD"),
        ("ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD maintainer a", "MAINTAINER isn't allowed as an ONBUILD trigger"),
        ("ONBUILD WIBBLE", "unknown instruction: WIBBLE"),
        ("ONBUILD --a RUN b", "unknown flag: --a"),
        ("ONBUILD COPY a", "at least two arguments"),
    ],
)
def test_bad_onbuild(text: str, message: str) -> None:
    """A trigger that could never fire is refused where it is written."""
    assert message in error_of("FROM a\n" + text).message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not 0"),
        ("RUN a\nRUN b", "not 2"),
        ("FROM a", "isn't allowed"),
        ("ONBUILD RUN a", "chaining"),
        ("X", "unknown"),
    ],
)
def test_bad_triggers(text: str, message: str) -> None:
    """A trigger from an image is one instruction of the right kind; the error is in the trigger's text."""
    with pytest.raises(BuildfileError, match=message) as caught:
        parse_trigger(text, SourceText("ONBUILD of x", text), "\\")
    assert caught.value.span is not None
    assert str(caught.value.span) == "ONBUILD of x:1"


def test_trigger_without_directives() -> None:
    """A trigger's continuations follow the escape that is given."""
    run = parse_trigger("RUN a `\n b", SourceText("x", "RUN a `\n b"), "`")
    assert isinstance(run, Run)
    assert run.command == ShellForm("a  b")


_WORDS = st.sampled_from(
    (
        *("FROM", "RUN", "COPY", "ADD", "ENV", "ARG", "ONBUILD", "HEALTHCHECK", "CMD", "SHELL", "LABEL", "EXPOSE"),
        *("a", "a=b", "AS", "x", "--mount=type=cache,target=/a", "--from=a", "--interval=1s", "--", "WORKDIR", "E"),
        *("<<EOF", "<<-'E'", "EOF", "$a", "${a:-b}", "${", "'", '"', "[", "]", '["a"]', "[1]", ",", "\\", "`", "\t"),
        *("#", "# escape=`", "# check=skip=all"),
    )
)
_GAPS = st.sampled_from([" ", "\n", "\r\n", "\\\n", "", "\n\n"])
_FILES = st.lists(st.tuples(_WORDS, _GAPS), max_size=25).map(lambda parts: "".join(a + b for a, b in parts))


@settings(max_examples=600, deadline=None)
@given(_FILES | _FILES.map(lambda text: "FROM a AS b\n" + text) | st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text does anything but parse, or raise a BuildfileError whose lines exist."""
    source = SourceText("Buildfile", text)
    total = max(1, len(source.lines()))
    try:
        buildfile = parse(source)
    except BuildfileError as error:
        assert error.message
        assert error.span is not None
        assert 1 <= error.span.first <= error.span.last <= total
    else:
        for block in buildfile.blocks:
            for item in (block.from_, *block.instructions):
                assert 1 <= item.span.first <= item.span.last <= total
                assert item.original
        assert all(1 <= warning.span.first <= warning.span.last <= total for warning in buildfile.warnings)


@pytest.mark.parametrize(
    "text",
    [
        "FROM a\n" + "RUN a\n" * 20_000,
        "FROM a\n" + "ENV a=${b:-$c}\n" * 10_000,
        "FROM scratch\n" + "".join(f"ENV a{number}=$b{number}\n" for number in range(10_000)),
        "".join(f"FROM a{number} AS a{number + 1}\n" for number in range(10_000)),
        "".join(f"ARG a{number}\n" for number in range(5_000)) + "FROM $x\n" * 5_000,
        "FROM a\nENV " + "a=b " * 100_000,
        "FROM a\nRUN " + "<<A " * 2_000 + "\n" + "A\n" * 2_000,
        "FROM a\nCOPY " + "a " * 200_000,
        "FROM a\nRUN " + "--mount=target=/a " * 20_000,
        "FROM a\n" + "X" * 1_000_000,
        "FROM a\nLABEL a=" + "\\\n" * 200_000 + "b",
        "FROM a\nRUN " + "$" * 200_000 + "<<A\nA\n",
        "FROM a\nRUN " + "${a" * 200_000 + "<<A\nA\n",
    ],
    ids=range(13),
)
def test_large_files_take_time_by_their_size(text: str) -> None:
    """Files of a hundred thousand words are read in moments, whatever is repeated in them."""
    started = time.process_time()
    try:
        parsed(text)
    except BuildfileError:
        pass
    assert time.process_time() - started < 6
