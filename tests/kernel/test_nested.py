"""--security=nested: a step makes sandboxes of its own, and still does not get out of ours."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from builder.values.crossing import NetworkMode, Tree
from builder.values.security import Security
from tests.kernel.bench import Bench, Outcome

pytestmark = pytest.mark.kernel

BUBBLEWRAP = "bwrap --unshare-all --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp"


def nested(bench: Bench, script: str, uid: int = 0, root: Tree | None = None) -> Outcome:
    """A step with --security=nested."""
    step = bench.spec(script, security=Security.NESTED, uid=uid, gid=uid, network=NetworkMode.NONE)
    return bench.perform(step if root is None else replace(step, root=root))


@pytest.fixture(scope="module")
def bubblewrap(room: Bench) -> Tree:
    """The image with Debian's bubblewrap in it."""
    program = shutil.which("bwrap")
    if program is None:
        pytest.skip("bubblewrap is not installed")
    tree = room.with_image("bubblewrap", {"root/": "", "usr/": ""})
    place = Path(tree.lowers[0])
    found = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for path in (program, *re.findall(r"(/\S+) \(0x", found)):
        copy = place / path.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(path), copy)
    (place / "bin").mkdir(exist_ok=True)
    shutil.copy(program, place / "bin" / "bwrap")
    return tree


@pytest.mark.parametrize("uid", [0, 1000])
def test_unshare(room: Bench, uid: int) -> None:
    """A step, root or not, becomes root of a user namespace that it makes."""
    assert nested(room, "unshare -Ur id -u", uid).output == "0\n"


@pytest.mark.parametrize("uid", [0, 1000])
def test_bubblewrap(room: Bench, bubblewrap: Tree, uid: int) -> None:
    """bubblewrap works with namespaces of every kind, a /proc, a /dev and a tmpfs of its own."""
    script = (
        f"{BUBBLEWRAP} sh -c 'echo in; ls -d /proc/[0-9]* | wc -l; touch /tmp/x && ls /tmp; touch /etc/x || echo no'"
    )
    lines = nested(room, script, uid, bubblewrap).lines()
    assert lines[0] == "in" and int(lines[1]) <= 5
    assert "x" in lines and lines[-1] == "no"


def test_on_a_single_id(single: Bench) -> None:
    """So it is on the rung with one id."""
    assert nested(single, "unshare -Urmpf sh -c 'mount -t proc x /proc && echo $$'").output == "1\n"


def test_not_without_asking(room: Bench, bubblewrap: Tree) -> None:
    """In a step as ever none of it works."""
    assert room.run("unshare -Ur true").status != 0
    assert room.run(f"{BUBBLEWRAP} true", root=bubblewrap).status != 0


@pytest.mark.parametrize(
    "attempt",
    [
        "umount /proc/sys",
        "umount /proc/keys",
        "umount /sys/fs/cgroup",
        "umount /dev/mqueue",
        "mount -o remount,rw,bind /sys",
        "mount -o remount,rw,bind /proc/sys",
        "mount -o remount,dev,bind /dev",
        "mount -o remount,dev,bind /",
        "mount -t sysfs x /sys",
        "mknod /tmp/disk b 8 0",
    ],
)
def test_what_stays(room: Bench, attempt: str) -> None:
    """Root of a nested namespace uncovers nothing, makes nothing writable, and makes no device."""
    outcome = nested(room, f"unshare -Urm sh -c '{attempt} && echo done'")
    assert outcome.status != 0
    assert "done" not in outcome.output


def test_the_outer_namespace(room: Bench) -> None:
    """Outside of a namespace of its own a step mounts nothing: it lacks the capability."""
    for attempt in ("mount -t tmpfs x /tmp", "umount /proc/sys", "unshare -m true", "hostname x"):
        assert nested(room, attempt).status != 0, attempt


def test_settings_of_the_kernel(room: Bench) -> None:
    """A fresh /proc in a nested namespace writes no setting of the machine and pulls no trigger."""
    script = "mount -t proc x /proc; for f in sys/kernel/core_pattern sysrq-trigger sys/vm/drop_caches; do"
    script += " (echo x >/proc/$f) 2>/dev/null && echo written; done; true"
    outcome = nested(room, f"unshare -Urmpf sh -c '{script}'")
    assert (outcome.status, outcome.output) == (0, "")
