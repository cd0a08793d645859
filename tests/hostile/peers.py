"""The hostile layers, registries and Buildfiles given to Debian's buildah, and how it came out beside ours, as a table.

`python -m tests.hostile.peers [layers] [pulls] [builds]`, as an ordinary user with a range of ids. Nothing here is part
of the suite: what buildah does is not ours to test, but worth knowing. An *escape* is a change outside, or that what is
there was read; *broke* is a crash, a panic or a hang over 30 s; *taken* and *refused* are the two good ends.
"""

from __future__ import annotations

import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.hostile import test_buildfiles, test_contexts, test_layers, test_pulls
from tests.hostile.buildfiles import MARK, Bench, BuildCase, Ground, base_layer, chosen, leaks
from tests.hostile.judged import Room, Verdict, watched
from tests.hostile.outcomes import Case
from tests.hostile.outside import Outside
from tests.hostile.server import running_server
from tests.hostile.tars import LayerCase
from tests.oci.images import sample
from tests.support.bases import LayoutWriter

_BROKEN = re.compile(r"Traceback|internal error|^panic:|SIGSEGV|goroutine \d+ \[", re.MULTILINE)
T = TypeVar("T", Case, LayerCase, BuildCase)


@dataclass(frozen=True)
class Tool:
    """A builder: how it builds the context `context` of a room, and how it pulls a name."""

    name: str
    build: Callable[[Room], Verdict]
    pull: Callable[[Room, str], Verdict]


def _ours() -> Tool:
    return Tool(
        "pybuild", lambda room: room.run("build", ".", directory="context"), lambda room, name: room.run("pull", name)
    )


def _buildah() -> Tool:
    def run(room: Room, *words: str) -> Verdict:
        stores = ["--root", str(room.path / "buildah" / "root"), "--runroot", str(room.path / "buildah" / "run")]
        program = shutil.which("buildah") or "/usr/bin/buildah"
        environment = {**os.environ, "HOME": str(room.path / "home")}
        return watched([program, *stores, *words], room.path / "context", environment)

    build = ("bud", "--isolation", "chroot", "-f", "Buildfile", ".")
    return Tool(
        "buildah", lambda room: run(room, *build), lambda room, name: run(room, "pull", "--tls-verify=false", name)
    )


def main(words: list[str]) -> int:
    """Run what is asked for (everything, without words) and print the tables."""
    tools = (_ours(), _buildah())
    with tempfile.TemporaryDirectory(prefix="hostile-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        if not words or "layers" in words:
            _table("hostile layers", test_layers.CASES, _layer, tools, place)
        if not words or "pulls" in words:
            _table("registries", test_pulls.CASES, _pull, tools, place)
        if not words or "builds" in words:
            _table("Buildfiles", _plain_builds(), _build, tools, place)
        subprocess.run(["buildah", "unshare", "rm", "-rf", name], check=False)
    return 0


def _table(
    title: str, cases: Sequence[T], try_one: Callable[[T, Room, Tool], str], tools: tuple[Tool, ...], place: Path
) -> None:
    ends: dict[str, collections.Counter[str]] = {tool.name: collections.Counter() for tool in tools}
    for number, case in enumerate(cases):
        found = []
        for tool in tools:
            room = Room.make(place / f"{title[:3].lower()}{number}-{tool.name}")
            (room.path / "context").mkdir()
            found.append(try_one(case, room, tool))
            ends[tool.name][found[-1]] += 1
        if set(found) & {"escape", "broke"} or len(set(found)) > 1:
            print(
                f"  {case.name}: {', '.join(f'{tool.name} {end}' for tool, end in zip(tools, found, strict=True))}",
                flush=True,
            )
    print(f"| {title} ({len(cases)}) | " + " | ".join(tool.name for tool in tools) + " |")
    for end in ("taken", "refused", "broke", "escape"):
        print(f"| {end} | " + " | ".join(str(ends[tool.name][end]) for tool in tools) + " |", flush=True)


def _layer(case: LayerCase, room: Room, tool: Tool) -> str:
    outside = Outside.make(room.path / "outside")
    image = LayoutWriter(room.path / "image")
    tar = case.make(os.fsencode(outside.path))
    kind = test_layers.MEDIA_LAYER
    image.finish([image.image("linux/amd64", {"Env": ["PATH=/bin"]}, [(test_layers.base_layer(), kind), (tar, kind)])])
    (room.path / "context" / "Buildfile").write_text(
        test_layers.BUILDFILE.replace("oci:../image", f"oci:{room.path}/image:latest")
    )
    (room.path / "context" / "canary-of-context").write_text("new")
    verdict = tool.build(room)
    return "escape" if outside.faults() else _end(verdict)


def _pull(case: Case, room: Room, tool: Tool) -> str:
    image = sample()
    with running_server() as server:
        server.serve(image)
        case.arrange(server, image)
        return _end(tool.pull(room, f"{server.address}/app:1"))


def _plain_builds() -> tuple[BuildCase, ...]:
    """Those of the suite that are the same command for everybody: no options of ours, no repositories."""
    cases = (*chosen(test_buildfiles.CASES), *chosen(test_contexts.CASES))
    return tuple(
        case
        for case in cases
        if case.words == (".",)
        and not case.env
        and not isinstance(case.buildfile, bytes)
        and "@GIT@" not in _text(case)
    )


def _text(case: BuildCase) -> str:
    return case.buildfile if isinstance(case.buildfile, str) else ""


def _build(case: BuildCase, room: Room, tool: Tool) -> str:
    shared = room.path / "bench"
    bench = Bench(shared, base_layer())
    writer = LayoutWriter(bench.layout)
    writer.finish([writer.image("linux/amd64", {"Env": ["PATH=/bin"]}, [(bench.layer, test_layers.MEDIA_LAYER)])])
    ground = Ground(room, Outside.make(room.path / "outside", MARK), bench)
    case.make(ground)
    if case.buildfile is not None:
        text = ground.filled(_text(case)).replace("oci:../images/", f"oci:{room.path}/images/")
        text = re.sub(r"oci:/[^\s,:@]+", r"\g<0>:latest", text)  # buildah wants to be told
        (ground.context / "Buildfile").write_bytes(text.encode("utf-8", "surrogateescape"))
    verdict = tool.build(room)
    return "escape" if ground.outside.faults() or MARK in verdict.text or _holds_mark(room) else _end(verdict)


def _holds_mark(room: Room) -> bool:
    """Whether what lies outside is in a store: in our blobs and caches, or in buildah's files."""
    words = ["grep", "-rqsF", "--devices=skip", MARK, str(room.path / "buildah")]
    return bool(leaks(room, 0.0)) or subprocess.run(words, stdin=subprocess.DEVNULL, check=False).returncode == 0


def _end(verdict: Verdict) -> str:
    if verdict.hung or _BROKEN.search(verdict.text):
        return "broke"
    return "taken" if verdict.status == 0 else "refused"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
