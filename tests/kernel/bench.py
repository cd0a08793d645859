"""Runs steps for real in the sandbox, on every rung and with every kind of root, without a worker.

A forked child enters a user namespace with the whole range (or one id, or none as real root) and performs one job, as a
child of the worker would. What it raises is raised here. The image is busybox, made on the spot.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from builder.errors import BY_NAME, PybuildError
from builder.kernel import constants as c
from builder.kernel.idmap import plan_maps, read_ranges, write_single, write_with_helpers
from builder.kernel.sandbox import perform
from builder.kernel.syscalls import unshare
from builder.tree import copyup
from builder.values.crossing import RootKind, Rung, RunJob, StepSpec, Tree

BUSYBOX = "/bin/busybox"


def best_rung() -> Rung:
    """The rung that the tests run on: as root, ROOT; skips without a range and its helpers."""
    if os.geteuid() == 0:
        return Rung.ROOT
    if not shutil.which("newuidmap") or not read_ranges(Path("/etc/subuid"), _user(), os.getuid()):
        pytest.skip("needs newuidmap and a range in /etc/subuid")
    return Rung.RANGE


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def inside(rung: Rung, body: Callable[[], Any]) -> Any:
    """What `body` gives (as JSON can say it), run as uid 0 of the rung's namespaces. Raises what it raises."""
    answer_read, answer_write = os.pipe()
    go_read, go_write = os.pipe()
    ready_read, ready_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_inside(rung, body, (ready_write, go_read, answer_write))
    for fd in (answer_write, go_read, ready_write):
        os.close(fd)
    if os.read(ready_read, 1) and rung is not Rung.ROOT:
        _write_maps(pid, rung)
    os.write(go_write, b"!")
    with open(answer_read, "rb") as stream:
        data = stream.read()
    os.close(go_write)
    os.close(ready_read)
    status = os.waitpid(pid, 0)[1]
    assert data, f"the child ended with {os.waitstatus_to_exitcode(status)} and no answer"
    return _understood(json.loads(data))


def _be_inside(rung: Rung, body: Callable[[], Any], wires: tuple[int, int, int]) -> None:
    ready, go, answer = wires
    try:
        unshare(c.CLONE_NEWNS | (0 if rung is Rung.ROOT else c.CLONE_NEWUSER))
        os.write(ready, b"!")
        os.read(go, 1)
        for fd in (ready, go):
            os.close(fd)
        if rung is not Rung.ROOT:
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
        document = {"value": body()}
    except PybuildError as error:
        document = {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
    except BaseException:
        document = {"bug": traceback.format_exc()}
    os.write(answer, json.dumps(document).encode())
    os._exit(0)


def _write_maps(pid: int, rung: Rung) -> None:
    if rung is Rung.SINGLE:
        write_single(pid, os.getuid(), os.getgid())
        return
    uids = plan_maps(os.getuid(), read_ranges(Path("/etc/subuid"), _user(), os.getuid()))
    gids = plan_maps(os.getgid(), read_ranges(Path("/etc/subgid"), _user(), os.getuid()))
    write_with_helpers(pid, "/usr/bin/newuidmap", uids, "/usr/bin/newgidmap", gids)


def _understood(document: dict[str, Any]) -> Any:
    if "kind" in document:
        raise BY_NAME[document["kind"]](document["message"], hint=document["hint"])
    assert "bug" not in document, document["bug"]
    return document["value"]


@dataclass(frozen=True)
class Outcome:
    """How a step ended, what it wrote, and the directory of its changes."""

    status: int
    output: str
    upper: Path
    work: Path

    @property
    def changed(self) -> list[str]:
        """The paths in the upper directory, sorted."""
        return sorted(str(path.relative_to(self.upper)) for path in self.upper.rglob("*"))

    def lines(self) -> list[str]:
        return self.output.splitlines()


@dataclass
class Bench:
    """A place for steps: a busybox image, and numbered upper and work directories."""

    base: Path
    rung: Rung
    kind: RootKind = RootKind.OVERLAY
    count: int = 0
    image: Path = field(init=False)

    def __post_init__(self) -> None:
        self.image = self.base / "image"
        if not self.image.exists():
            make_image(self.image)

    def spec(self, *argv: str, **changes: Any) -> StepSpec:
        """A step that runs a script (one word) or a command (several) on the image."""
        self.count += 1
        place = self.base / f"step-{self.count}"
        place.mkdir()
        step = StepSpec(
            argv=argv if len(argv) > 1 else ("sh", "-c", argv[0]),
            env=(("PATH", "/bin"), ("HOME", "/root")),
            cwd="/",
            uid=0,
            gid=0,
            groups=(),
            root=Tree((str(self.image),)),
            upper=str(place / "upper"),
            work=str(place / "work"),
        )
        return replace(step, **changes)

    def run(self, *argv: str, fds: tuple[int, ...] = (), **changes: Any) -> Outcome:
        """Run a step to its end."""
        return self.perform(self.spec(*argv, **changes), fds)

    def perform(self, step: StepSpec, fds: tuple[int, ...] = ()) -> Outcome:
        with tempfile.TemporaryFile() as output:
            wires = [output.fileno(), *fds]
            status = self.inside(lambda: perform(RunJob(step), wires, self.kind, copyup).status)
            output.seek(0)
            text = output.read().decode(errors="replace")
        return Outcome(status, text, Path(step.upper), Path(step.work))

    def inside(self, body: Callable[[], Any]) -> Any:
        return inside(self.rung, body)

    def tree(self, name: str, files: dict[str, str]) -> Tree:
        """A tree of one layer with these files; a name that ends in / is a directory, `-> x` a link to x."""
        layer = self.base / name
        layer.mkdir()
        for path, content in files.items():
            place = layer / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if path.endswith("/"):
                place.mkdir(exist_ok=True)
            elif content.startswith("-> "):
                place.symlink_to(content[3:])
            else:
                place.write_text(content)
        return Tree((str(layer),))

    def with_image(self, name: str, files: dict[str, str]) -> Tree:
        """The image with another layer on top."""
        return Tree((*self.tree(name, files).lowers, str(self.image)))


def make_image(place: Path) -> None:
    """busybox with all its names, and an empty /etc and /tmp."""
    (place / "bin").mkdir(parents=True)
    (place / "etc").mkdir()
    (place / "tmp").mkdir()
    (place / "tmp").chmod(0o1777)
    shutil.copy(BUSYBOX, place / "bin" / "busybox")
    for name in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if name != "busybox":
            (place / "bin" / name).symlink_to("busybox")


@contextlib.contextmanager
def bench(rung: Rung | None = None, kind: RootKind = RootKind.OVERLAY) -> Iterator[Bench]:
    """A bench in a directory that is removed from inside, because step's files belong to sub-ids."""
    rung = rung or best_rung()
    base = Path(tempfile.mkdtemp(prefix="pybuild-test-"))
    base.chmod(0o755)
    try:
        yield Bench(base, rung, kind)
    finally:
        inside(rung, lambda: subprocess.run(["rm", "-rf", str(base)], check=False).returncode)


def compiled(place: Path, name: str, *parts: str) -> Path:
    """The static program of tests/kernel/NAME.c and PARTS, compiled once for a place; skips without a compiler."""
    program = place / name
    if not program.exists():
        if not shutil.which("gcc"):
            pytest.skip("needs gcc")
        sources = [str(Path(__file__).with_name(f"{part}.c")) for part in (name, *parts)]
        subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Werror", "-o", str(program), *sources], check=True)
    return program
