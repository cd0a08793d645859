"""A disk that is full, wherever it gets so: it is said, and nothing half-written has a name."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from tests.e2e.test_bad_input import STEP, STORE, assert_one_error
from tests.support.command import Ended, Pybuild

FULL = {
    "at the start": ("8k", "FROM scratch\nCOPY big /\n", ()),
    "COPY": ("2m", "FROM scratch\nCOPY big /\n", (">>> 2 | COPY big /",)),
    "pull": ("900k", "FROM {busybox}\nRUN true\n", (">>> 2 | RUN true",)),
    "unpack": ("2500k", "FROM {busybox}\nRUN true\n", (">>> 2 | RUN true",)),
    "commit": ("10m", "FROM {busybox}\nRUN head -c 5000000 /dev/urandom >/x\n", (">>> 2 | RUN head",)),
}


def on_small_disk(pybuild: Pybuild, size: str, *words: str) -> Ended:
    """Run the command where `room/small` is a file system of that size, then look whether its store there is sound."""
    (pybuild.room / "small").mkdir()
    command = shlex.join([*pybuild.argv(*words)])
    check = shlex.join([sys.executable, "-m", "builder", "store", "check", "--root", "small/store"])
    script = (
        f"mount -t tmpfs -o size={size} tmpfs small && {command}; code=$?; "
        f"test ! -e small/store/index.json || {check} >&2 || exit 99; "
        "find small -path '*/tmp/*' -type f; find small -maxdepth 2 -name '*.tar' -o -path small/layout/index.json; "
        "exit $code"
    )
    return pybuild.run("unshare", "sh", "-c", script, status=None)


@pytest.mark.kernel
@pytest.mark.parametrize("when", FULL)
def test_a_full_disk(pybuild: Pybuild, busybox: str, when: str) -> None:
    """Wherever the disk is full, it is said so with the step that filled it, and the store is sound."""
    size, text, says = FULL[when]
    pybuild.write("Buildfile", text.format(busybox=busybox))
    (pybuild.room / "big").write_bytes(os.urandom(3_000_000))
    ended = on_small_disk(pybuild, size, "--root", "small/store", "-t", "x:1", ".")
    assert_one_error(Ended(ended.status, ended.out, _without_check(ended.err)), STORE, "o space left", *says)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("kind", "output"),
    [
        ("oci", "small/layout"),
        ("oci", "small/image.tar"),
        ("docker", "small/image.tar"),
        ("tar", "small/files.tar"),
        ("local", "small/files"),
    ],
)
def test_a_full_disk_at_the_output(pybuild: Pybuild, kind: str, output: str) -> None:
    """Half an output is never there under its name."""
    pybuild.write("Buildfile", "FROM scratch\nCOPY big /\n")
    (pybuild.room / "big").write_bytes(os.urandom(3_000_000))
    ended = on_small_disk(pybuild, "2m", "-o", f"type={kind},dest={output}", ".")
    assert_one_error(ended, STORE, f"no space left to write {output}")


@pytest.mark.kernel
def test_a_step_that_fills_the_disk(pybuild: Pybuild, busybox: str) -> None:
    """A command that fails while the store has no room left is shown with that reason."""
    pybuild.write("Buildfile", f"FROM {busybox}\nRUN head -c 5000000 /dev/urandom >/x\n")
    ended = on_small_disk(pybuild, "6m", "--root", "small/store", ".")
    assert_one_error(Ended(ended.status, ended.out, _without_check(ended.err)), STEP, ">>> 2 |", "no room left")


def _without_check(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if "is sound" not in line)


def test_standard_output_that_is_full(pybuild: Pybuild) -> None:
    """What was asked for could not be told: that is a failure, and the image is there all the same."""
    pybuild.write("Buildfile", "FROM scratch\n")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            pybuild.argv("-q", "-t", "x:1", "."),
            cwd=pybuild.room,
            env=pybuild.env(None),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert_one_error(Ended(done.returncode, "", done.stderr), STORE, "no space left")
    assert "x" in pybuild.run("images").out
