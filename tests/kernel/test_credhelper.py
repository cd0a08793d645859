"""Login helpers are programs: found, run, bounded."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from builder.errors import MachineError
from builder.kernel.credhelper import ask_helper


def helper(directory: Path, script: str, name: str = "x") -> dict[str, str]:
    """A helper as a shell script, and the environment in which it is found."""
    path = directory / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": f"{directory}:{os.environ['PATH']}", "MARK": "here"}


def test_a_helper_gets_verb_message_and_environment(tmp_path: Path) -> None:
    """The message is its standard input; what it writes and its status come back."""
    environment = helper(tmp_path, 'echo "$1 $(cat) $MARK"; exit 3')
    answer = ask_helper("x", "get", b"server", environment)
    assert (answer.status, answer.output) == (3, b"get server here\n")


def test_an_answer_is_not_shown(tmp_path: Path) -> None:
    """It may be a password."""
    assert "secret" not in repr(ask_helper("x", "get", b"", helper(tmp_path, "echo secret")))


@pytest.mark.parametrize("name", ["../x", "x/y", "", "-x", ".x", "x y", "x\n", "x;y", "$x"])
def test_only_a_name_is_a_name(tmp_path: Path, name: str) -> None:
    """It comes from a file and becomes part of a program's name: no path, no option, no shell."""
    with pytest.raises(MachineError, match="is not the name of a login helper"):
        ask_helper(name, "get", b"", helper(tmp_path, "true"))


def test_a_helper_that_is_missing_is_named() -> None:
    """With what to do."""
    with pytest.raises(MachineError, match="docker-credential-x is not in PATH"):
        ask_helper("x", "get", b"", {"PATH": "/nowhere"})


def test_a_helper_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    """Its interpreter is missing, say."""
    environment = helper(tmp_path, "")
    (tmp_path / "docker-credential-x").write_text("#!/nowhere/sh\n")
    with pytest.raises(MachineError, match="cannot be run"):
        ask_helper("x", "get", b"", environment)


@pytest.mark.parametrize(
    "script", ["exec sleep 60", "exec >&-; exec sleep 60", "trap '' TERM; while :; do sleep 1; done"]
)
def test_a_helper_that_hangs_is_ended(tmp_path: Path, script: str) -> None:
    """Whether it keeps its output open or not."""
    started = time.monotonic()
    with pytest.raises(MachineError, match="does not answer"):
        ask_helper("x", "get", b"", helper(tmp_path, script), longest_s=0.3)
    assert time.monotonic() - started < 5


def test_a_helper_that_floods_is_ended(tmp_path: Path) -> None:
    """Its output is bounded."""
    with pytest.raises(MachineError, match="more than 64 KiB"):
        ask_helper("x", "get", b"", helper(tmp_path, "exec cat /dev/zero"))


def test_a_helper_need_not_read(tmp_path: Path) -> None:
    """One that knows the answer already may close its standard input."""
    answer = ask_helper("x", "get", b"x" * 60000, helper(tmp_path, "exec <&-; echo well"))
    assert (answer.status, answer.output) == (0, b"well\n")
