"""Commands and options as click sees them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from builder.commands.app import app, plain_flags, root_after_command, run
from builder.commands.names import NAMES
from builder.commands.options import OPTIONS
from builder.errors import ContextError, PybuildError, UsageError
from tests.commands.built import make_context
from tests.commands.callers import caller, remarked


def test_the_build_is_the_default(tmp_path: Path) -> None:
    """A line that names no command is a build, whatever it begins with."""
    context = str(make_context(tmp_path / "context"))
    root = str(tmp_path / "store")
    for words in (
        [context, "--root", root],
        ["build", "--root", root, context],
        ["-t", "app:1", context, "--root", root],
        [f"--root={root}", "--", context],
    ):
        who = caller(tmp_path)
        assert run(words, who) == 0
        assert "Built" in remarked(who)


def test_a_directory_named_like_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pybuild ./images` is the directory; a word that is neither command nor directory is a missing context."""
    make_context(tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    assert run(["./images", "--root", "store"], caller(tmp_path)) == 0
    with pytest.raises(ContextError, match="pictures does not exist"):
        run(["pictures"], caller(tmp_path))


@pytest.mark.parametrize("line", ["--help", "-h", "build --help", "-t x --help", "--no-cache -h ."])
def test_help_wherever_it_stands(line: str) -> None:
    """--help is answered at any place of a build's line."""
    result = CliRunner().invoke(app, line.split(), obj=caller())
    assert result.exit_code == 0
    assert result.output.startswith("Usage: pybuild [OPTIONS] CONTEXT\n")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "build"])
def test_every_command_has_help(name: str) -> None:
    """Each command explains itself."""
    result = CliRunner().invoke(app, [name, "--help"], obj=caller())
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: pybuild {name}")


@pytest.mark.parametrize("line", ["--version", "--root DIR --version", "build --version", "--root=DIR --version"])
def test_version(line: str) -> None:
    """--version is one line, whatever options stand before it."""
    result = CliRunner().invoke(app, line.split(), obj=caller())
    assert result.exit_code == 0
    assert result.output.startswith("pybuild ") and result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tags", "x", "."], "there is no option --tags"),
        (["--frobnicate", "."], "there is no option --frobnicate"),
        (["-Z", "."], "there is no option -Z"),
        (["images", "--frobnicate", "x"], "there is no option --frobnicate"),
        ([".", "extra"], "build: 'extra' is too much"),
        ([".", "-t"], "-t/--tag: its value is missing"),
        ([], "context is missing"),
        (["--quiet=perhaps", "."], "--quiet: takes no value such as 'perhaps'"),
    ],
)
def test_lines_that_cannot_be_understood(words: list[str], message: str) -> None:
    """Click's complaints become UsageErrors with a hint."""
    with pytest.raises(UsageError) as caught:
        run(words, caller())
    assert message.lower() in caught.value.message.lower()
    assert caught.value.hint


def test_a_misspelt_option_suggests_the_nearest() -> None:
    """The nearest option there is is named."""
    with pytest.raises(UsageError) as caught:
        run(["--build-args", "A=1", "."], caller())
    assert "--build-arg" in (caught.value.hint or "")


def test_flags_with_values_as_docker_takes_them() -> None:
    """`--pull=true` is the flag, `--pull=false` is not; values of other options and what follows `--` stay."""
    assert plain_flags(["--pull=true", "--no-cache=false", "."], OPTIONS) == ["--pull", "."]
    assert plain_flags(["--label", "--pull=true", "--", "--pull=true"], OPTIONS) == [
        "--label",
        "--pull=true",
        "--",
        "--pull=true",
    ]
    assert plain_flags(["-t", "-q", "-q"], OPTIONS) == ["--tag", "-q", "--quiet"]
    assert plain_flags(["-t"], OPTIONS) == ["--tag"]
    assert plain_flags(["--tag=--pull=true"], OPTIONS) == ["--tag=--pull=true"]


def test_words_of_a_command_are_not_options() -> None:
    """What follows `unshare` belongs to the command, --help included after its name."""
    with pytest.raises(PybuildError) as caught:
        run(["unshare", "/nonexistent-command", "--push", "-x"], caller())
    assert "--push" not in caught.value.message


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--root S images", "images --root S"),
        ("--root=S inspect app:1", "inspect --root=S app:1"),
        ("--root S unshare ls -l", "unshare ls -l"),
        ("--root S store check", "store check --root S"),
        ("--root S .", "--root S ."),
        ("--root S", "--root S"),
        ("images --root S", "images --root S"),
    ],
)
def test_root_may_stand_before_a_command(words: str, expected: str) -> None:
    """`pybuild --root S images` says the same as `pybuild images --root S`; unshare has no store."""
    assert root_after_command(words.split()) == expected.split()
