"""Runs the conformance cases against the command, as a person would: files on disk in, an OCI layout out.

The format of a case is described beside the cases. Nothing of the program is imported here.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.conformance_context import lay_out, served
from tests.support.conformance_image import ImageJudge, World, compare
from tests.support.images import ReadImage, read_layout
from tests.support.tars import content_of

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("PYBUILD_CONFORMANCE", REPOSITORY.parent / "shared" / "conformance"))
TIMEOUT_S = 120


@dataclass
class Run:
    """One build of a case and what came of it."""

    status: int
    output: str
    image: ReadImage | None


@dataclass
class Case:
    """A case on its way through its steps; `problems` says what was not as it must be."""

    document: dict[str, Any]
    world: World
    room: Path
    nonce: str = field(default_factory=lambda: "n" + uuid.uuid4().hex[:12])
    problems: list[str] = field(default_factory=list)

    def run(self) -> list[str]:
        """All steps of the case; the problems found."""
        with served({}) as server:
            steps = [self.document, *self.document.get("then", [])]
            state: dict[str, Any] = {"context": {}, "args": {}, "http": {}}
            before: Run | None = None
            context = self.room / "context"
            context.mkdir()
            for number, step in enumerate(steps):
                state["args"] = {**state["args"], **step.get("args", {})}
                state["http"] = {**state["http"], **step.get("http", {})}
                server.files = state["http"]
                lay_out(context, step.get("context", {}))
                buildfile = step.get("buildfile", state.get("buildfile"))
                state["buildfile"] = buildfile
                run = self.build(number, buildfile, context, (state["args"], server.port))
                self.judge(run, step["expect"], before)
                before = run
        return self.problems

    def names(self, port: int) -> dict[str, str]:
        """What the placeholders stand for."""
        return {
            "@HTTP@": f"http://127.0.0.1:{port}",
            "@NONCE@": self.nonce,
            **{f"@{name.upper()}@": reference for name, reference in self.world.bases.items()},
        }

    def build(self, number: int, buildfile: Any, context: Path, how: tuple[dict[str, Any], int]) -> Run:
        """Run the command once."""
        args, port = how
        text = buildfile if isinstance(buildfile, str) else "\n".join(buildfile) + "\n"
        for name, value in self.names(port).items():
            text = text.replace(name, value)
        name = args.get("file", "Buildfile")
        path = context / name if args.get("file_in_context") else self.room / f"file{number}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        out = self.room / f"out{number}"
        env = {**os.environ, **args.get("env", {}), "PYBUILD_ROOT": str(self.world.store)}
        words = [sys.executable, "-m", "builder", "-f", str(path), "-o", f"type=oci,dest={out}", "--progress=plain"]
        with self.options(args, number, self.names(port)) as (options, more_env):
            done = subprocess.run(
                [*words, *options, str(context)],
                env={**env, **more_env},
                cwd=self.room,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                timeout=TIMEOUT_S,
                check=False,
            )
        output = done.stdout.decode("utf-8", "replace")
        if done.returncode == 0:
            return Run(0, output, read_layout(out))
        if (out / "index.json").exists():
            output += "\n[an output was left behind]"
        return Run(done.returncode, output, None)

    @contextmanager
    def options(
        self, args: dict[str, Any], number: int, names: dict[str, str]
    ) -> Iterator[tuple[list[str], dict[str, str]]]:
        """The command line that a case's args ask for, and more environment."""
        words: list[str] = []
        env: dict[str, str] = {}
        sockets: list[socket.socket] = []
        for name, value in args.get("build_args", {}).items():
            words += ["--build-arg", name if value is None else f"{name}={value}"]
        for flag in ("target", "platform"):
            if flag in args:
                words += [f"--{flag}", args[flag]]
        for name, value in args.get("labels", {}).items():
            words += ["--label", f"{name}={value}"]
        if args.get("no_cache"):
            words.append("--no-cache")
        for name, entry in args.get("secrets", {}).items():
            if isinstance(entry, dict) and "env" in entry:
                env[entry["env"]] = content_of(entry).decode()
                words += ["--secret", f"id={name},env={entry['env']}"]
            else:
                path = self.room / f"secret{number}-{name}"
                path.write_bytes(content_of(entry))
                words += ["--secret", f"id={name},src={path}"]
        for name in args.get("ssh", []):
            path = self.room / f"s{number}{name}"
            agent = socket.socket(socket.AF_UNIX)
            agent.bind(str(path))
            agent.listen()
            sockets.append(agent)
            words += ["--ssh", f"{name}={path}"]
        for name, value in args.get("build_contexts", {}).items():
            words += ["--build-context", f"{name}={self.build_context(name, value, number, names)}"]
        try:
            yield words, env
        finally:
            for agent in sockets:
                agent.close()

    def build_context(self, name: str, value: Any, number: int, names: dict[str, str]) -> str:
        """A named context as the command line gives it."""
        if isinstance(value, str):
            return "docker-image://" + names[value]
        directory = self.room / f"context{number}-{name}"
        directory.mkdir()
        lay_out(directory, value)
        return str(directory)

    def judge(self, run: Run, expect: dict[str, Any], before: Run | None) -> None:
        """Compare what came out with what must."""
        if "Traceback" in run.output or "internal error" in run.output:
            self.problems.append("a traceback: " + run.output[-1500:])
        wanted = expect.get("exit", "ok")
        if wanted == "fail":
            if run.status == 0:
                self.problems.append("it was built, and must fail")
            pattern = expect.get("error")
            if pattern and not re.search(pattern, run.output, re.IGNORECASE | re.DOTALL):
                self.problems.append(f"the error does not match {pattern!r}: {run.output[-800:]}")
            if "[an output was left behind]" in run.output:
                self.problems.append("a failed build left an image")
            return
        if run.image is None:
            if wanted == "ok":
                self.problems.append(f"exit status {run.status}: {run.output[-1500:]}")
            return
        judge = ImageJudge(run.image, expect, self.world)
        self.problems += judge.problems()
        if before is not None and before.image is not None:
            self.problems += compare(before.image, run.image, expect)
