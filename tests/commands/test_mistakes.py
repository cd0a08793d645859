"""Lines that cannot be understood, and what may have been meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.commands.app import run
from builder.commands.mistakes import ELSEWHERE, check_context
from builder.commands.names import NAMES
from builder.errors import ContextError, UsageError
from tests.commands.callers import caller


def refused(line: str, directory: Path = Path("/")) -> tuple[str, str]:
    """The message and the hint for a line."""
    with pytest.raises(UsageError) as caught:
        run(line.split(), caller(directory))
    return caught.value.message, caught.value.hint or ""


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("imges", "did you mean `pybuild images`?"),
        ("pul app:1", "did you mean `pybuild pull`?"),
        ("bulid .", "did you mean `pybuild build`?"),
        ("image ls", "`pybuild images`"),
        ("image inspect app", "did you mean `pybuild inspect`?"),
        ("builder prune", "did you mean `pybuild prune`?"),
        ("system df", "`pybuild du`"),
        ("rm app:1", "`pybuild rmi`"),
        ("run app:1", "pybuild runs no containers"),
        ("help", "`pybuild COMMAND --help` explains one"),
        ("help push", "`pybuild COMMAND --help` explains one"),
        ("version", "`pybuild --version`"),
    ],
)
def test_a_word_that_is_no_command(line: str, hint: str, tmp_path: Path) -> None:
    """Misspelt commands and those of other tools are called that, and the hint names what was meant."""
    message, said = refused(line, tmp_path)
    assert message == f"there is no command {line.split()[0]!r}"
    assert hint in said


def test_what_looks_like_no_command_is_a_context(tmp_path: Path) -> None:
    """A word that resembles no command is a context that is missing; a directory is a context whatever it is called."""
    with pytest.raises(ContextError, match="webserver"):
        run(["webserver", "--root", str(tmp_path / "store")], caller(tmp_path))
    (tmp_path / "imges").mkdir()
    assert "'extra' is too much" in refused("imges extra", tmp_path)[0]


def test_a_command_behind_options(tmp_path: Path) -> None:
    """A command stands first."""
    message, hint = refused("-q images", tmp_path)
    assert message == "images is a command, which stands first"
    assert hint == "it is written: pybuild images [OPTIONS]"


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("store", "store: its second word is missing", "pybuild store check"),
        ("store chekc", "there is no command 'store chekc'", "did you mean `pybuild store check`?"),
        ("store prune", "there is no command 'store prune'", "did you mean `pybuild prune`?"),
        ("images a b", "images: 'b' is too much", "it is written: pybuild images [OPTIONS] [NAME]"),
        ("load x.tar y", "load: 'x.tar', 'y' are too much", "it is written: pybuild load [OPTIONS]"),
        ("tag app:1", "tag: TARGET is missing", "it is written: pybuild tag [OPTIONS] SOURCE TARGET ..."),
        ("pull", "pull: NAME is missing", "it is written: pybuild pull [OPTIONS] NAME ..."),
        ("push --frmat=oci app", "push: there is no option --frmat", "did you mean --format?"),
        ("push --xyzzy app", "push: there is no option --xyzzy", "`pybuild push --help` lists them"),
        ("push app --root", "--root: its value is missing", "it is written --root DIR"),
        ("images --help=yes", "--help: takes no value", "it is written --help"),
        ("pull -v app", "pull: there is no option -v", "`pybuild pull --help` lists them"),
    ],
)
def test_words_too_many_and_too_few(line: str, message: str, hint: str) -> None:
    """The message names the command and what is wrong, the hint how it is written."""
    said, offered = refused(line)
    assert said == message
    assert hint in offered


def test_no_command_of_ours_is_one_of_others() -> None:
    """What pybuild has itself is not sent elsewhere, and every two words begin with one that is no command."""
    assert not set(ELSEWHERE) & set(NAMES)
    assert not {name.split()[0] for name in ELSEWHERE} & set(NAMES)


def test_a_word_that_may_be_a_context_passes() -> None:
    """Nothing is said of a word that resembles no command."""
    check_context("webserver")
