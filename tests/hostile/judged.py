"""The command under watch: how it ended, what it said, how long it took, how much memory its largest process had."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HANG_S = 30.0
"""A stranger's server or file may not keep anybody longer than this."""
PEAK_LIMIT_KIB = 150 * 1024

SETTINGS = "[registries]\ntimeout = 4\n"
"""The whole of a command's transfers may take so long here: a test must not wait as a person would."""


@dataclass(frozen=True)
class Verdict:
    """How a run ended. `seconds` of wall time; `peak_kib` of the largest process, in KiB."""

    status: int
    text: str
    seconds: float
    peak_kib: int
    hung: bool


@dataclass(frozen=True)
class Room:
    """A directory with a store of its own, a canary beside it, and settings with short patience."""

    path: Path

    @classmethod
    def make(cls, path: Path) -> Room:
        """A fresh one at `path`."""
        path.mkdir(parents=True, exist_ok=True)
        (path / "config.toml").write_text(SETTINGS)
        (path / "canary").write_text("alive")
        (path / "home").mkdir()
        return cls(path)

    @property
    def store(self) -> Path:
        """Where the command's store is."""
        return self.path / "store"

    def run(self, *words: str, env: Mapping[str, str] | None = None, directory: str = ".") -> Verdict:
        """Run pybuild with these words, in a directory of the room."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            "HOME": str(self.path / "home"),
            "PYBUILD_ROOT": str(self.store),
            "PYBUILD_CONFIG": str(self.path / "config.toml"),
            **(env or {}),
        }
        return watched([sys.executable, "-m", "builder", *words], self.path / directory, environment)

    def faults(self, verdict: Verdict, *known: str) -> list[str]:
        """What no run may ever do, whatever the stranger did; empty when all is well. `known` files are the test's."""
        found = []
        if verdict.hung:
            found.append(f"it hung for {verdict.seconds:.0f} s")
        if "Traceback" in verdict.text or "internal error" in verdict.text or verdict.status in (70, 255):
            found.append(f"it broke (status {verdict.status})")
        if re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", verdict.text):
            found.append("it painted the terminal")
        if verdict.peak_kib > PEAK_LIMIT_KIB:
            found.append(f"it took {verdict.peak_kib >> 10} MiB")
        if (self.path / "canary").read_text() != "alive":
            found.append("the canary is dead")
        found += self._strangers(known)
        return found

    def _strangers(self, more: tuple[str, ...]) -> list[str]:
        """Files that nobody asked for beside the store."""
        known = {"config.toml", "canary", "home", "store", "context", *more}
        return [f"there is a file {name}" for name in sorted(set(os.listdir(self.path)) - known)]

    def is_sound(self) -> bool:
        """Whether `store check` finds nothing, and nothing is left of unfinished work once the store was opened."""
        if not self.store.exists():
            return True
        return self.run("store", "check").status == 0 and not os.listdir(self.store / "pybuild" / "tmp")


_WATCHER = """
import os, sys
pid = os.fork()
if not pid:
    os.execv(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(pid, 0)
os.write(int(sys.argv[1]), b"%d %d" % (os.waitstatus_to_exitcode(status), usage.ru_maxrss))
"""
"""Between us and the command: a child's peak begins with that of the process it was forked from, and ours is large."""


def watched(argv: list[str], directory: Path, environment: Mapping[str, str]) -> Verdict:
    """Run a command until it ends, or for HANG_S; its whole process group is killed then."""
    start = time.monotonic()
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WATCHER, str(writer), *argv],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=(writer,),
        )
        os.close(writer)
        fuse = threading.Timer(HANG_S, os.killpg, (process.pid, signal.SIGKILL))
        fuse.start()
        process.wait()
        fuse.cancel()
        seconds = time.monotonic() - start
        with open(reader, "rb") as pipe:
            status, _, peak = pipe.read().decode().partition(" ")
        output.seek(0)
        text = output.read(1 << 20).decode("utf-8", "replace")
    return Verdict(int(status or -9), text, seconds, int(peak or 0), seconds >= HANG_S)
