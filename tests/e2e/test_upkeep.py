"""Looking after a store that is in use: builds, pruning and the removal of images at the same time, each in a process
of its own, and what a sudden end leaves."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builder.store import Store
from builder.store.check import check
from builder.values.reference import Reference
from tests.store import stocks
from tests.support.images import read_layout

SECONDS = 6

_BUILDER = """
import random, sys, time
from pathlib import Path
from builder.pipeline import build
from builder.source import SourceText
from builder.store import Store
from builder.values.reference import Reference
from builder.values.request import BuildRequest

root, context, base, name, seconds = sys.argv[1:]
chosen = random.Random(name)
until = time.monotonic() + float(seconds)
count = 0
while time.monotonic() < until:
    one, two = chosen.randrange(3), chosen.randrange(3)
    text = f"FROM {base} AS b\\nRUN echo {one} > /one\\nCOPY f{two} /f\\nRUN cat /one /f > /two\\n"
    if name == "copies":
        text = f"FROM {base}\\nCOPY f{one} /one\\nCOPY f{two} /f\\nRUN cat /one /f > /two\\n"
    if name == "bare":
        text = f"FROM scratch\\nCOPY f{one} /one\\nWORKDIR /w{two}\\nCOPY f{two} /f\\n"
    tags = (Reference.parse(f"{name}:{one}"),)
    with Store.open(Path(root)) as store:
        build(BuildRequest(Path(context), SourceText("Buildfile", text), tags=tags), store, lambda _: None)
    count += 1
print(count)
"""

_PRUNER = """
import random, sys, time
from pathlib import Path
from builder.stages.door import Door
from builder.stages.prune import carry_out
from builder.store import Store
from builder.store.policy import Policy
from builder.store.prune import release

chosen = random.Random(4)
until = time.monotonic() + float(sys.argv[2])
count = 0
while time.monotonic() < until:
    with Store.open(Path(sys.argv[1])) as store, Door(store.root, lambda _: None) as door:
        if chosen.random() < 0.3:
            for image in store.images.all()[:1]:
                store.images.untag(image.name)
                release(store, image.manifest.digest)
        how = (Policy(everything=True), Policy(), Policy(keep_bytes=100_000), Policy(older_than_s=0.1))
        carry_out(store, chosen.choice(how), door)
    time.sleep(chosen.random() / 50)
    count += 1
print(count)
"""

_KILLED = """
import sys
from pathlib import Path
from builder.store import Store
from builder.store.policy import Policy
from builder.store.prune import prune
with Store.open(Path(sys.argv[1])) as store:
    print("ready", flush=True)
    prune(store, Policy(everything=True))
"""


def start(script: str, *words: str) -> subprocess.Popen[str]:
    """Run a script in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def context_of(room: Path) -> Path:
    """A context with three files."""
    for number in range(3):
        path = room / "context" / f"f{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"file {number}\n" * 500)
    return room / "context"


@pytest.mark.kernel
def test_builds_beside_pruning(tmp_path: Path, busybox: str) -> None:
    """Builds and prunings of everything loop on one store at the same time: no build fails, nothing is damaged, and
    every image that has a name in the end is whole."""
    root, context = tmp_path / "store", context_of(tmp_path)
    builders = [
        start(_BUILDER, str(root), str(context), busybox, name, str(SECONDS)) for name in ("runs", "copies", "bare")
    ]
    pruners = [start(_PRUNER, str(root), str(SECONDS)) for _ in range(2)]
    for process in (*builders, *pruners):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert int(out) > 1
    with Store.open(root) as store:
        assert check(store) == []
        names = [image.name for image in store.images.all()]
    for name in names:
        read_layout(root, name)


@pytest.mark.parametrize("seed", range(4))
def test_a_pruning_that_is_killed(tmp_path: Path, seed: int) -> None:
    """kill -9 at any instant leaves a store that is sound, and the next pruning ends what was begun."""
    root = tmp_path / "store"
    with Store.open(root) as store:
        for number in range(400):
            stocks.step(store, f"step {number}")
        stocks.image(store, "app:1", "step 1", "of its own")
        before = stocks.files_of(root)
    victim = start(_KILLED, str(root))
    assert victim.stdout is not None and victim.stdout.readline() == "ready\n"
    time.sleep(random.Random(seed).uniform(0, 0.25))
    os.kill(victim.pid, signal.SIGKILL)
    victim.communicate()
    with Store.open(root) as store:
        assert check(store) == []
        assert store.images.find(Reference.parse("app:1")) is not None
    assert stocks.files_of(root) <= before
    again = start(_KILLED, str(root))
    again.communicate(timeout=60)
    with Store.open(root) as store:
        assert again.returncode == 0 and check(store) == []
    assert sum(name.startswith("pybuild/steps") for name in stocks.files_of(root)) == 0
