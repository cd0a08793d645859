"""CVE-2019-5736: an image whose program is a link to /proc/self/exe, so that the step begins as our interpreter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from builder.kernel.runner import is_exposed
from builder.values.crossing import Rung, Tree
from tests.kernel.bench import Bench, compiled

pytestmark = pytest.mark.kernel

SOURCE = Path(__file__).parents[2]

_BUILD = """
import sys
from pathlib import Path
from builder.kernel.spawn import start_worker
from builder.values.crossing import RunJob, Rung, StepSpec, Tree
store, rung, upper, work, *lowers = sys.argv[1:]
step = StepSpec(("/bin/runner",), (("PATH", "/bin"),), "/", 0, 0, (), Tree(tuple(lowers)), upper, work)
with start_worker(Path(store), Rung(rung)) as worker:
    sys.exit(worker.call(RunJob(step), [1]).status)
"""


@pytest.fixture(scope="module")
def hostile(room: Bench) -> Tree:
    """An image whose /bin/runner is who executes it, with a program of its own as every loader."""
    tree = room.with_image("hostile-runner", {"bin/runner": "-> /proc/self/exe"})
    place = Path(tree.lowers[0])
    program = compiled(room.base, "overwrite")
    for loader in ("lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1", "bin/overwrite"):
        (place / loader).parent.mkdir(exist_ok=True)
        shutil.copy(program, place / loader)
    return tree


def built(python: Path, room: Bench, hostile: Tree, rung: Rung) -> list[str]:
    """What the hostile image says when this interpreter builds it."""
    step = room.spec("true", root=hostile)
    words = [str(room.base), str(rung), step.upper, step.work, *hostile.lowers]
    path = os.pathsep.join((str(SOURCE), *filter(None, sys.path)))
    command = [str(python), "-c", _BUILD, *words]
    done = subprocess.run(command, env={"PYTHONPATH": path, "PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("rung", [Rung.RANGE, Rung.SINGLE])
def test_python_of_the_user(room: Bench, hostile: Tree, tmp_path: Path, rung: Rung) -> None:
    """An interpreter that belongs to the user, and so to root of a step, cannot be changed by one."""
    python = tmp_path / "python3"
    shutil.copy(Path(sys.executable).resolve(), python)
    (tmp_path / "pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix) / 'bin'}\n")
    before = python.stat()
    program, *attempts = built(python, room, hostile, rung)
    assert program == str(python)
    assert attempts == ["write: ETXTBSY", "truncate: EROFS", "chmod: EROFS"]
    assert (python.stat().st_mode, python.stat().st_size) == (before.st_mode, before.st_size)


def test_python_of_the_system(room: Bench, hostile: Tree) -> None:
    """An interpreter that belongs to nobody in the step's namespace is safe as it is."""
    if is_exposed(Rung.RANGE):
        pytest.skip("this Python belongs to who runs the tests")
    attempts = built(Path(sys.executable), room, hostile, Rung.RANGE)[1:]
    assert attempts == ["write: EACCES", "truncate: EACCES", "chmod: EPERM"]


def test_descriptors_at_the_exec(room: Bench) -> None:
    """A program that is named by way of a descriptor of ours is not found: none is left but a pipe (CVE-2024-21626)."""
    links = {
        f"bin/fd-{fd}-{depth}": f"-> /proc/self/fd/{fd}{'/..' * depth}/bin/sh"
        for fd in range(3, 40)
        for depth in (0, 9)
    }
    root = room.with_image("descriptors", links)
    for link in links:
        outcome = room.run(f"/{link}", "-c", "echo reached", root=root)
        assert (outcome.status, "reached" in outcome.output) in ((126, False), (127, False)), (link, outcome)


def test_exposure() -> None:
    """Real root's namespace has a say over any interpreter."""
    assert is_exposed(Rung.ROOT)
