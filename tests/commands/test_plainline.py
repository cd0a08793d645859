"""Tests of plain lines: what is read without click is what click reads."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.commands import app
from builder.commands.caller import Caller
from builder.commands.line import Line
from builder.commands.options import OPTIONS, BuildOptions
from builder.commands.plainline import read_command, read_plain
from builder.commands.table import COMMANDS, Command
from builder.errors import PybuildError
from tests.commands.callers import caller

_HERE = Path(__file__).parent
_NAMES = [name for option in OPTIONS for name in option.names]
_VALUES = st.sampled_from(["", "a", "a=b", ".", "-", "-x", "--push", "images", "build", "é", "a b", "--", "=", "x:1"])
_WORDS = st.one_of(
    st.sampled_from(_NAMES),
    st.builds("{}={}".format, st.sampled_from(_NAMES), _VALUES),
    st.builds("{}{}".format, st.sampled_from(_NAMES), _VALUES),
    _VALUES,
    st.sampled_from(
        [".", "..", "build", "--help", "-h", "--version", "--", "-", "images", "nowhere", "--tag=x", "-tx"]
    ),
)
_OPTIONS = st.tuples(st.sampled_from(_NAMES), _VALUES).map(list)
_LINES = st.lists(_OPTIONS | _WORDS.map(lambda word: [word]), max_size=6).map(
    lambda parts: [word for part in parts for word in part]
)


def _by_click(words: list[str], caller: Caller) -> BuildOptions | None:
    read: list[BuildOptions] = []

    def keep(options: BuildOptions, _: Caller) -> int:
        read.append(options)
        return 0

    with patch("builder.commands.build.build", keep):
        try:
            app.run(words, caller)
        except PybuildError:
            return None
    return read[0] if read else None


@settings(max_examples=400, deadline=None)
@given(_LINES)
def test_both_readers_agree(words: list[str]) -> None:
    """Whatever is read without click is what click makes of the same line."""
    plain = read_plain(words, _HERE)
    if plain is not None:
        assert plain == _by_click(words, caller(directory=_HERE))


@pytest.mark.parametrize(
    "line",
    [
        ".",
        "build .",
        "-t app:1 .",
        ". -t app:1 -t app:2 --build-arg A=1 --build-arg=B=2",
        "--root store -q -f Buildfile --no-cache .",
        "build --file=x --pull --target a --label x=y ..",
    ],
)
def test_usual_lines_need_no_click(line: str) -> None:
    """The lines that people write are read, and as click would."""
    plain = read_plain(line.split(), _HERE)
    assert plain is not None
    assert plain == _by_click(line.split(), caller(directory=_HERE))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--help",
        ". --help",
        "images",
        "--root x images",
        "store check .",
        ". ..",
        "nowhere",
        "-tapp .",
        "-t=app .",
        ". -t",
        ". -f -",
        "--pull=true .",
        "-- .",
        "--unknown .",
        "-",
    ],
)
def test_all_else_is_for_click(line: str) -> None:
    """Help, other commands, mistakes and shorter ways to write options are not read here."""
    assert read_plain(line.split(), _HERE) is None


def _command_by_click(words: list[str], caller: Caller) -> tuple[Command, Line] | None:
    read: list[tuple[Command, Line]] = []

    def keep(row: Command, line: Line, _: Caller) -> int:
        read.append((row, line))
        return 0

    with patch("builder.commands.table.carry_out", keep), patch("builder.commands.build.build", return_value=0):
        try:
            app.run(words, caller)
        except PybuildError:
            return None
    return read[0] if read else None


@st.composite
def _command_lines(draw: st.DrawFn) -> list[str]:
    row = draw(st.sampled_from(COMMANDS))
    names = st.sampled_from([name for option in row.options for name in option.names] or ["--root"])
    option = st.one_of(
        st.tuples(names, _VALUES).map(list),
        st.builds("{}={}".format, names, _VALUES).map(lambda word: [word]),
        names.map(lambda word: [word]),
        _VALUES.map(lambda word: [word]),
        st.sampled_from(["app:1", "x", "--help", "--unknown", "--root"]).map(lambda word: [word]),
    )
    return [*row.name.split(), *(word for part in draw(st.lists(option, max_size=5)) for word in part)]


@settings(max_examples=400, deadline=None)
@given(_command_lines())
def test_both_readers_agree_on_other_commands(words: list[str]) -> None:
    """Whatever command and line are read without click are what click makes of the same words."""
    plain = read_command(words)
    if plain is not None:
        assert plain == _command_by_click(words, caller(directory=_HERE))


@pytest.mark.parametrize(
    "line",
    [
        "images",
        "images -q --root store app",
        "store check --root=store",
        "push -q app:1 registry/app:1",
        "inspect one two --format json",
        "prune --all",
        "tag a b c",
    ],
)
def test_usual_commands_need_no_click(line: str) -> None:
    """The lines that people write are read, and as click would."""
    plain = read_command(line.split())
    assert plain is not None
    assert plain == _command_by_click(line.split(), caller(directory=_HERE))


@pytest.mark.parametrize(
    "line",
    ["", "build .", "images a b", "inspect", "store", "store nothing", "images --help", "unshare id", "ls -lR x"],
)
def test_other_lines_of_commands_are_for_click(line: str) -> None:
    """Builds, help, mistakes, letters put together, and commands that run others are not read here."""
    assert read_command(line.split()) is None


@pytest.mark.parametrize("line", ["--root store sub", "images --root store", "--version"])
def test_a_plain_line_loads_no_click(tmp_path: Path, line: str) -> None:
    """Reading a plain line and beginning what it says imports no click."""
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path\n"
        "from builder import cli\n"
        f"cli.run({line.split()}, cli._caller())\n"
        "sys.exit('click' in sys.modules)"
    )
    (tmp_path / "sub").mkdir()
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=dict(os.environ), check=False)
    assert done.returncode == 0
