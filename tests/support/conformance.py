"""Runs the conformance cases against the command, as a person would: files on disk in, an OCI layout out.

The format of a case is described beside the cases. Nothing of the program is imported here.
"""

from __future__ import annotations

import fnmatch
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.images import Node, ReadImage, read_layout
from tests.support.tars import content_of

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("PYBUILD_CONFORMANCE", REPOSITORY.parent / "shared" / "conformance"))
DEFAULT_MTIME = 1600000000
TIMEOUT_S = 120


@dataclass
class World:
    """What all cases share: the bases by placeholder, their diff-ids, one store."""

    bases: Mapping[str, str]
    base_diff_ids: Mapping[str, list[str]]
    store: Path


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


@dataclass
class ImageJudge:
    """Holds one image against an `expect`."""

    image: ReadImage
    expect: dict[str, Any]
    world: World
    found: list[str] = field(default_factory=list)

    def problems(self) -> list[str]:
        """Everything that is not as it must be."""
        self.config()
        self.env()
        for path, wanted in self.expect.get("files", {}).items():
            self.file(path, {"content": wanted} if isinstance(wanted, str) else wanted)
        for path in self.expect.get("absent", []):
            if self.image.node(path) is not None:
                self.found.append(f"{path} is there")
        for top, names in self.expect.get("tree", {}).items():
            self.tree(top, names)
        self.layers()
        for pattern in self.expect.get("history_re", []):
            lines = [line.get("created_by", "") for line in self.image.config.get("history", [])]
            if not any(re.search(pattern, line) for line in lines):
                self.found.append(f"no history line matches {pattern!r}: {lines}")
        for path in self.expect.get("host_absent", []):
            if os.path.lexists(path):
                self.found.append(f"{path} came into being on the host")
        return self.found

    def new_layers(self) -> list[list[tuple[str, Any, bytes]]]:
        """The layers that no base has."""
        known = {diff_id for ids in self.world.base_diff_ids.values() for diff_id in ids}
        pairs = zip(self.image.diff_ids, self.image.layers, strict=True)
        return [entries for diff_id, entries in pairs if diff_id not in known]

    def config(self) -> None:
        config = self.image.config.get("config", {})
        for name, wanted in self.expect.get("config", {}).items():
            holder = self.image.config if name in ("author", "architecture", "os", "created") else config
            value = holder.get(name)
            if name in ("ExposedPorts", "Volumes") and isinstance(wanted, list):
                value, wanted = sorted(value or {}), sorted(wanted)
            if (value or None) != (wanted or None):
                self.found.append(f"config {name} is {value!r}, not {wanted!r}")

    def env(self) -> None:
        pairs = [line.partition("=") for line in self.image.config.get("config", {}).get("Env", None) or []]
        env = {name: value for name, _, value in pairs}
        if len(env) != len(pairs):
            self.found.append(f"Env names something twice: {pairs}")
        for name, wanted in self.expect.get("env", {}).items():
            if env.get(name) != wanted:
                self.found.append(f"Env {name} is {env.get(name)!r}, not {wanted!r}")

    def tree(self, top: str, names: list[str]) -> None:
        prefix = self.image.real(top)
        start = prefix + "/" if prefix else ""
        there = [
            path[len(start) :] + ("/" if node.kind == "dir" else "")
            for path, node in self.image.files.items()
            if path.startswith(start) and path != prefix and path
        ]
        if sorted(there) != sorted(names):
            self.found.append(f"{top} holds {sorted(there)}, not {sorted(names)}")

    def file(self, path: str, wanted: dict[str, Any]) -> None:
        node = self.image.node(path)
        if node is None:
            self.found.append(f"{path} is not there")
            return
        facts: dict[str, Any] = {
            "type": node.kind,
            "size": len(node.content),
            "mode": f"{node.info.mode & 0o7777:04o}",
            "uid": node.info.uid,
            "gid": node.info.gid,
            "mtime": int(node.info.mtime),
            "linkname": node.info.linkname,
        }
        for name, value in wanted.items():
            if name in facts and facts[name] != value:
                self.found.append(f"{path}: {name} is {facts[name]!r}, not {value!r}")
        self.content(path, node, wanted)
        self.links(path, node, wanted)

    def content(self, path: str, node: Node, wanted: dict[str, Any]) -> None:
        if ("content" in wanted or "content_b64" in wanted) and node.content != content_of(wanted):
            self.found.append(f"{path} holds {node.content[:200]!r}, not {content_of(wanted)[:200]!r}")
        text = node.content.decode("utf-8", "replace")
        for key, must in (("content_re", True), ("not_content_re", False)):
            patterns = wanted.get(key, [])
            for pattern in [patterns] if isinstance(patterns, str) else patterns:
                if bool(re.search(pattern, text, re.MULTILINE)) is not must:
                    self.found.append(f"{path}: {key} {pattern!r} does not hold for {text[:300]!r}")

    def links(self, path: str, node: Node, wanted: dict[str, Any]) -> None:
        for key, must in (("hardlink_to", True), ("not_hardlink_to", False)):
            if key in wanted and (self.image.node(wanted[key]) is node) is not must:
                self.found.append(f"{path}: {key} {wanted[key]} does not hold")
        for name, value in wanted.get("xattrs", {}).items():
            there = node.xattrs.get(name)
            if there is None or (value != "present" and there.hex() != value):
                self.found.append(f"{path}: xattr {name} is {there!r}, not {value}")

    def layers(self) -> None:
        names = [name for entries in self.new_layers() for name, _, _ in entries]
        for entries in self.new_layers():
            self.found += [
                f"a layer holds the device {name}" for name, info, _ in entries if info.ischr() or info.isblk()
            ]
        for pattern in self.expect.get("layers_absent", []):
            self.found += [f"a layer holds {name} ({pattern})" for name in names if matches(name, pattern)]
        if "layers_only" in self.expect:
            patterns = self.expect["layers_only"]
            allowed = {parent for pattern in patterns for parent in parents(pattern)}
            for name in names:
                if name and name not in allowed and not any(matches(name, pattern) for pattern in patterns):
                    self.found.append(f"a layer holds {name}, and may only hold {patterns}")
        for text in self.expect.get("nowhere", []):
            if any(text.encode() in data for entries in self.new_layers() for _, _, data in entries):
                self.found.append(f"{text!r} stands in a layer")
            if text in json.dumps(self.image.config):
                self.found.append(f"{text!r} stands in the config")
        if "base" in self.expect:
            ids = self.world.base_diff_ids[self.expect["base"]]
            if self.image.diff_ids[: len(ids)] != ids:
                self.found.append("the base's layers are not the first ones")
        if "max_mtime" in self.expect:
            for entries in self.new_layers():
                late = [name for name, info, _ in entries if info.mtime > self.expect["max_mtime"]]
                self.found += [f"{name} is newer than max_mtime" for name in late]


def matches(name: str, pattern: str) -> bool:
    """Whether `*` (within a name) and `**` (across names) cover a layer's entry or whiteout."""
    plain = name.replace(".wh.", "", 1) if name.rpartition("/")[2].startswith(".wh.") else name
    expression = fnmatch.translate(pattern).replace(".*.*", "\0").replace(".*", "[^/]*").replace("\0", ".*")
    return any(re.match(expression, one) for one in (name, plain))


def parents(pattern: str) -> list[str]:
    """The directories above what a pattern names."""
    parts = pattern.split("/")[:-1]
    return ["/".join(parts[: length + 1]) for length in range(len(parts))]


def compare(before: ReadImage, now: ReadImage, expect: dict[str, Any]) -> list[str]:
    """What two builds in a row must have in common, or not."""
    found = []
    for key, must in (("same_as_before", True), ("differs_from_before", False)):
        for path in expect.get(key, []):
            old, new = before.node(path), now.node(path)
            if old is None or new is None:
                found.append(f"{path} is not in both images")
            elif (old.content == new.content) is not must:
                found.append(f"{path}: {key} does not hold")
    if expect.get("same_image") and before.digest != now.digest:
        found.append("the image is another one than before")
    return found


def lay_out(directory: Path, entries: Mapping[str, Any]) -> None:
    """Make the entries of a context on disk. Modes and times of directories come last."""
    late: list[tuple[Path, int, int]] = []
    for name, entry in entries.items():
        path = directory / name
        row: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {}
        if entry == "delete":
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        mode, mtime = int(row.get("mode", "0644"), 8), int(row.get("mtime", DEFAULT_MTIME))
        if entry is None or name.endswith("/") or row.get("dir"):
            path.mkdir(exist_ok=True)
            late.append((path, int(row.get("mode", "0755"), 8), mtime))
        elif "symlink" in row:
            path.symlink_to(row["symlink"])
        elif "hardlink" in row:
            os.link(directory / row["hardlink"], path)
        elif "fifo" in row:
            os.mkfifo(path)
        elif "socket" in row:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(path))
        else:
            data = content_of(entry)
            path.unlink(missing_ok=True)
            path.write_bytes(data)
            path.chmod(mode)
            os.utime(path, (mtime, mtime))
    for path, mode, mtime in late:
        path.chmod(mode)
        os.utime(path, (mtime, mtime))


class Server(http.server.ThreadingHTTPServer):
    """A web server of a case's `http` entries."""

    files: Mapping[str, Any]

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        entry = self.server.files.get(self.path.partition("?")[0])
        row = entry if isinstance(entry, Mapping) else {}
        data = content_of(entry)
        self.send_response(404 if entry is None else int(row.get("status", 200)))
        for name, value in row.get("headers", {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Stay quiet."""


@contextmanager
def served(files: Mapping[str, Any]) -> Iterator[Server]:
    """A running web server on loopback."""
    server = Server(("127.0.0.1", 0), _Handler)
    server.files = files
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
