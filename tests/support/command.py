"""The command, run as a person runs it: a process of its own, what it prints, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 240


@dataclass(frozen=True)
class Ended:
    """How a run of the command ended."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All that a person saw."""
        return self.out + self.err


@dataclass(frozen=True)
class Pybuild:
    """The command with a store of its own; started in `room`."""

    room: Path
    store: Path

    def run(self, *words: str, status: int | None = 0, env: dict[str, str] | None = None) -> Ended:
        """Run it and check its exit status (None: whatever it is). A traceback is never right."""
        done = subprocess.run(
            self.argv(*words),
            cwd=self.room,
            env=self.env(env),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
        )
        ended = Ended(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
        assert "Traceback" not in ended.text, ended.text
        assert status is None or ended.status == status, f"status {ended.status}:\n{ended.text}"
        return ended

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start it in a process group of its own and leave it running."""
        return subprocess.Popen(
            self.argv(*words),
            cwd=self.room,
            env=self.env(None),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def argv(self, *words: str) -> list[str]:
        """The words of a command line."""
        return [sys.executable, "-m", "builder", *words]

    def env(self, more: dict[str, str] | None) -> dict[str, str]:
        """The environment it runs in."""
        return {**os.environ, "PYBUILD_ROOT": str(self.store), **(more or {})}

    def write(self, name: str, text: str) -> Path:
        """Write a file in the room."""
        path = self.room / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path
