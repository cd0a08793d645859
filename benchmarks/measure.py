"""Commands and what they take: measured, or only run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.values import Command, Run

_TIMED = Path(__file__).with_name("timed.py")
_LIMIT_S = 1800
_KEPT = ("PATH", "LANG", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "BUILDKIT_HOST", "DOCKER_HOST")


class CommandFailed(Exception):
    """A command ended with an error; the text is its last words."""


def measured(commands: Iterable[Command], room: Path) -> Run:
    """What these take, one after the other; raises CommandFailed. The room is where they find TMPDIR and HOME."""
    total = Run(0.0, 0.0, 0)
    for command in commands:
        total += _one(command, room)
    return total


def _one(command: Command, room: Path) -> Run:
    with tempfile.TemporaryDirectory(prefix="timed-", dir=room) as name:
        result = Path(name) / "result"
        execute(
            Command((sys.executable, "-I", "-S", str(_TIMED), str(result), *command.argv), command.environment), room
        )
        found = json.loads(result.read_text())
    return Run(found["wall_s"], found["cpu_s"], found["peak_kib"])


def execute(command: Command, room: Path) -> str:
    """Run it, unmeasured; gives its standard output, or raises CommandFailed with the end of what it said."""
    for name in ("tmp", "home"):
        (room / name).mkdir(exist_ok=True)
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {"HOME": str(room / "home"), "TMPDIR": str(room / "tmp"), **command.environment}
    # Output goes to files: a pipe would end only when the last process that a tool leaves behind has ended.
    with (
        tempfile.TemporaryFile("w+", errors="replace") as said,
        tempfile.TemporaryFile("w+", errors="replace") as bad,
    ):
        try:
            done = subprocess.run(
                command.argv,
                env=environment,
                cwd=room,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=bad,
                timeout=_LIMIT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CommandFailed(str(error)) from error
        said.seek(0)
        bad.seek(0)
        output, errors = said.read(), bad.read()
    if done.returncode:
        raise CommandFailed(_last_words(errors) or f"{command.argv[0]}: status {done.returncode}")
    return output


def _last_words(errors: str) -> str:
    """The last line that says something; docker tells of all steps before it."""
    return next((line.strip()[-600:] for line in reversed(errors.splitlines()) if line.strip(" -")), "")
