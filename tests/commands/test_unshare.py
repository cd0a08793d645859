"""`pybuild unshare`."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.kernel


def _unshare(*words: str, shell: str = "/bin/sh", stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "SHELL": shell, "MINE": "kept", "HOME": "/tmp"}
    return subprocess.run(
        [sys.executable, "-m", "builder", "unshare", *words],
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_command_runs_as_root_of_the_namespace() -> None:
    """The command sees itself as root, with the caller's environment."""
    assert _unshare("sh", "-c", "id -u; echo $MINE").stdout == "0\nkept\n"


def test_its_exit_code_is_ours() -> None:
    """The exit code is the command's, also that of a signal."""
    assert _unshare("sh", "-c", "exit 42").returncode == 42
    assert _unshare("sh", "-c", "kill -TERM $$").returncode == 143


def test_without_a_command_it_is_the_shell() -> None:
    """The shell of SHELL reads our standard input."""
    assert _unshare(stdin="echo from the shell\n").stdout == "from the shell\n"


def test_options_of_the_command_are_its_own() -> None:
    """Words after the command are not read as ours."""
    assert _unshare("echo", "--root", "-q", "--", "x").stdout == "--root -q -- x\n"


def test_a_command_that_does_not_exist() -> None:
    """What cannot be started is one clear line."""
    done = _unshare("/nonexistent")
    assert done.returncode != 0
    assert "/nonexistent" in done.stderr and "Traceback" not in done.stderr
