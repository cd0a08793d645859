"""Images on the move, as people call it: full disks, readers that go away, sudden ends, and bounded memory."""

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
from tests.e2e.test_bad_input import STORE, assert_one_error
from tests.e2e.test_full_disk import on_small_disk
from tests.support.bases import LayoutWriter
from tests.support.command import Ended, Pybuild
from tests.support.tars import layer

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
SIZE = 3_000_000


@pytest.fixture
def image(pybuild: Pybuild) -> str:
    """An image of 3 MB in a layout, called app:1 in the store of `pybuild`."""
    rows = [{"path": "big", "type": "file", "mode": "0644", "data": os.urandom(SIZE)}]
    writer = LayoutWriter(pybuild.room / "layout")
    writer.finish([writer.image("linux/amd64", {}, [(layer(rows), GZIP)])])
    pybuild.run("copy", "oci:layout:latest", "store:app:1")
    return "oci:layout:latest"


@pytest.mark.kernel
@pytest.mark.parametrize(
    "words",
    [
        ("pull", "--root", "small/store", "{image}"),
        ("load", "--root", "small/store", "-i", "layout"),
        ("save", "app:1", "-o", "small/a.tar"),
        ("copy", "-q", "{image}", "docker-archive:small/a.tar"),
        ("copy", "-q", "app:1", "oci-archive:small/a.tar"),
        ("copy", "-q", "{image}", "oci:small/layout:1"),
        ("copy", "-q", "{image}", "store:new:1", "--root", "small/store"),
    ],
    ids=lambda words: "-".join(words[:3]).replace("/", "_"),
)
def test_a_full_disk(pybuild: Pybuild, image: str, words: tuple[str, ...]) -> None:
    """One line; no archive and no index.json that leads nowhere; a sound store."""
    pybuild.run("save", "app:1", "-o", "given.tar")
    ended = on_small_disk(pybuild, "2m", *(word.format(image=image) for word in words))
    lines = [line for line in ended.err.splitlines() if "no damage" not in line and not line.startswith("pull ")]
    assert_one_error(Ended(ended.status, ended.out, "\n".join(lines)), STORE, "o space left")
    assert not any((pybuild.store / "pybuild" / "tmp").iterdir())


@pytest.mark.parametrize("words", [("save", "app:1"), ("copy", "-q", "app:1", "oci-archive:-:1")])
def test_a_reader_that_goes_away(pybuild: Pybuild, image: str, words: tuple[str, ...]) -> None:
    """One line, under the exit code of outputs."""
    assert image
    read, write = os.pipe()
    process = subprocess.Popen(
        pybuild.argv(*words), cwd=pybuild.room, env=pybuild.env(None), stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    os.read(read, 1000)
    os.close(read)
    err = process.communicate(timeout=30)[1].decode()
    assert_one_error(Ended(process.returncode, "", err), STORE, "standard output was closed before all")


@pytest.mark.parametrize("first", ["pull", "load", "copy"])
def test_a_sudden_end_loses_nothing(pybuild: Pybuild, image: str, first: str) -> None:
    """Killed at any instant: the store is sound, what has a name is whole, and the next try works."""
    words = {
        "pull": ("pull", image),
        "load": ("load", "-i", "layout"),
        "copy": ("copy", image, "store:copied:1"),
    }[first]
    chosen = random.Random(first)
    for number in range(6):
        other = Pybuild(pybuild.room, pybuild.room / f"store{number}")
        process = other.start(*words)
        time.sleep(chosen.uniform(0.15, 0.6))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if other.store.exists():
            with Store.open(other.store) as store:
                assert check(store) == []
                for found in store.images.all():
                    assert store.blobs.has(found.manifest.digest)
        other.run(*words)
        other.run("store", "check")


def test_memory_does_not_grow_with_the_image(pybuild: Pybuild, tmp_path: Path) -> None:
    """An image of 200 MB is saved, loaded and copied by processes that may not hold it."""
    rows = [{"path": "big", "type": "file", "mode": "0644", "data": os.urandom(1 << 20) * 200}]
    writer = LayoutWriter(pybuild.room / "layout")
    writer.finish([writer.image("linux/amd64", {}, [(layer(rows), GZIP.removesuffix("+gzip"))])])
    measure = tmp_path / "measure.py"
    measure.write_text(
        "import resource, subprocess, sys\n"
        "code = subprocess.run(sys.argv[1:], check=False).returncode\n"
        "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    for words in (
        ("copy", "-q", "oci:layout:latest", "store:app:1"),
        ("save", "app:1", "-o", "a.tar"),
        ("load", "-q", "-i", "a.tar", "--root", "other"),
        ("copy", "-q", "docker-archive:a.tar", "oci-archive:b.tar:1"),
    ):
        done = subprocess.run(
            [sys.executable, str(measure), *pybuild.argv(*words)],
            cwd=pybuild.room,
            env=pybuild.env(None),
            capture_output=True,
            text=True,
            check=True,
        )
        code, peak_kib = map(int, done.stdout.split()[-2:])
        assert (code, peak_kib < 110 << 10) == (0, True), f"{words}: {peak_kib} KiB\n{done.stderr}"
