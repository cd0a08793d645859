"""Tests of the line of a plain build: what is read without click is what click reads."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.commands import app
from builder.commands.caller import Caller
from builder.commands.options import OPTIONS, BuildOptions
from builder.commands.plainline import read_plain
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


def test_a_plain_build_loads_no_click(tmp_path: Path) -> None:
    """Reading a plain line and beginning its build imports no click."""
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path\n"
        "from builder import cli\n"
        "cli.run(['--root', 'store', 'sub'], cli._caller())\n"
        "sys.exit('click' in sys.modules)"
    )
    (tmp_path / "sub").mkdir()
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=dict(os.environ), check=False)
    assert done.returncode == 0
