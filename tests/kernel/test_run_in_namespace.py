"""`pybuild unshare CMD`: a command as root of the namespaces, at our terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import builder
from builder.errors import UsageError
from builder.kernel import handshake
from builder.kernel.namespace import gather
from builder.kernel.run_in_namespace import run_in_namespace
from tests.kernel.processes import children, descendants, is_alive, until

pytestmark = pytest.mark.kernel

PATH = {"PATH": "/usr/bin:/bin"}
SOURCE = Path(builder.__file__).parents[1]

OUTER = """
import sys
from builder.kernel.run_in_namespace import run_in_namespace
sys.exit(run_in_namespace(sys.argv[1:], {"PATH": "/usr/bin:/bin"}))
"""


def outer(command: list[str]) -> subprocess.Popen[bytes]:
    """A process that runs the command in the namespace."""
    return subprocess.Popen([sys.executable, "-c", OUTER, *command], stdout=subprocess.PIPE, cwd=SOURCE)


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_status(status: int) -> None:
    """The exit status is the command's."""
    assert run_in_namespace(["sh", "-c", f"exit {status}"], PATH) == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGPIPE, signal.SIGINT])
def test_signal(number: int) -> None:
    """A command that a signal ended gives 128 and its number; no signal is ignored in it that we ignore."""
    assert run_in_namespace(["sh", "-c", f"kill -{int(number)} $$"], PATH) == 128 + number


def test_place(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is root there, with the range, in our directory, with exactly the environment that it was given."""
    monkeypatch.chdir(tmp_path)
    assert run_in_namespace(["sh", "-c", "id -u; id -g; pwd; wc -l < /proc/self/uid_map; env"], PATH | {"A": "1"}) == 0
    uid, gid, place, lines, *variables = capfd.readouterr().out.splitlines()
    assert (uid, gid, place, lines) == ("0", "0", str(tmp_path), "2")
    assert {line for line in variables if not line.startswith(("PWD=", "_=", "SHLVL=", "OLDPWD="))} == {
        "PATH=/usr/bin:/bin",
        "A=1",
    }


def test_missing_command() -> None:
    """A command that cannot be started is an error of the user's, with its name and the reason."""
    with pytest.raises(UsageError, match="cannot run no-such-command: No such file"):
        run_in_namespace(["no-such-command"], PATH)
    with pytest.raises(UsageError, match="cannot run /etc: Permission denied"):
        run_in_namespace(["/etc"], PATH)
    with pytest.raises(UsageError, match="no command"):
        run_in_namespace([], PATH)
    assert children() == []


def test_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a lower rung it says so."""
    monkeypatch.setattr(handshake, "gather", lambda: replace(gather(), uid_ranges=()))
    notes: list[str] = []
    assert run_in_namespace(["true"], PATH, notes.append) == 0
    assert len(notes) == 1


def test_our_signals_are_as_before() -> None:
    """What was blocked for the while is not blocked afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    run_in_namespace(["true"], PATH)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1])
def test_forwarded_signal(number: int) -> None:
    """A signal sent to us reaches the command, whose answer to it is our status."""
    trap = f"trap 'exit 7' {int(number)}; echo ready; while :; do sleep 0.05; done"
    with outer(["sh", "-c", trap]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.wait(10) == 7


def test_death() -> None:
    """When we are killed, the command ends too."""
    with outer(["sh", "-c", "echo ready; exec sleep 60"]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        everything = descendants(process.pid)
        assert everything
        process.kill()
        process.wait()
        until(lambda: not any(map(is_alive, everything)))


def test_terminal() -> None:
    """At a terminal, the command has it, and Ctrl-C reaches the command once and does not end us before it."""
    pid, terminal = pty.fork()
    if pid == 0:
        loop = "while test -z $n; do sleep 0.05; done; sleep 0.2; exit 3$n"
        script = f"trap 'n=1$n' INT; test -t 0 && echo terminal; {loop}"
        os.chdir(SOURCE)
        os.execv(sys.executable, [sys.executable, "-c", OUTER, "sh", "-c", script])
    seen = b""
    while b"terminal" not in seen:
        seen += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    status = os.waitpid(pid, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 31
    os.close(terminal)
