"""Other users of the machine, and what they may prepare: stores, links, names in /tmp, umasks, sockets."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kernel.processes import descendants, until
from tests.stages.builds import base, row
from tests.support.bases import BUSYBOX, applets
from tests.support.command import Pybuild

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base with a shell, as FROM names it."""
    rows = [
        *(row(path) for path in ("bin", "etc", "tmp")),
        {"path": "bin/busybox", "type": "file", "mode": "0755", "data": BUSYBOX.read_bytes()},
        *({"path": f"bin/{name}", "type": "symlink", "to": "busybox"} for name in applets()),
    ]
    return base(tmp_path_factory.mktemp("base") / "busybox", [rows], config={"Env": ["PATH=/bin"]})


@pytest.fixture
def pybuild(tmp_path: Path) -> Pybuild:
    """The command with a small context."""
    room = tmp_path / "room"
    room.mkdir()
    command = Pybuild(room, tmp_path / "store")
    command.write("Buildfile", "FROM scratch\nCOPY Buildfile /\n")
    return command


def _as_others(pybuild: Pybuild, *words: str) -> None:
    """Do something as root of the namespaces, where there are other users."""
    pybuild.run("unshare", *words)


@pytest.mark.parametrize(
    "prepared",
    [
        "chown 33:33 {store}",
        "chown 33:33 {store}/pybuild",
        "chown 33:33 {store}/pybuild/steps",
        "chown 33 {store}/blobs",
    ],
)
def test_the_store_of_another_user(pybuild: Pybuild, prepared: str) -> None:
    """What somebody else has put into a cache becomes part of no image: an error says whose it is."""
    pybuild.run("-t", "app:1", ".")
    _as_others(pybuild, *shlex.split(prepared.format(store=pybuild.store)))
    try:
        for words in ((".",), ("images",), ("prune", "--all", "--force"), ("store", "check")):
            ended = pybuild.run(*words, status=None)
            assert ended.status in (2, 7), ended.text  # 2: an option that this command has not
            if ended.status == 7:
                assert "belongs to the user" in ended.err or "Permission denied" in ended.err
                assert "hint: " in ended.err and "--root" in ended.err
        assert "belongs to the user" in pybuild.run(".", status=7).err
    finally:
        _as_others(pybuild, "chown", "-R", "0:0", str(pybuild.store))


def test_root_does_not_trust_a_users_store(pybuild: Pybuild) -> None:
    """Seen from where it is root (of the namespaces), a store of uid 33 is no more its own than the other way round."""
    pybuild.run(".")
    _as_others(pybuild, "chown", "-R", "33:33", str(pybuild.store))
    inside = [sys.executable, "-m", "builder", "--root", str(pybuild.store), "."]
    try:
        ended = pybuild.run("unshare", *inside, status=7)
        assert "belongs to the user" in ended.err and "and you are 0" in ended.err
    finally:
        _as_others(pybuild, "chown", "-R", "0:0", str(pybuild.store))


def test_a_place_that_others_may_change(pybuild: Pybuild, tmp_path: Path) -> None:
    """A store below a directory of theirs that all may write to, or behind a link of theirs, is refused unmade."""
    place, link = tmp_path / "place", tmp_path / "link"
    place.mkdir()
    place.chmod(0o777)
    link.symlink_to(tmp_path / "target")
    (tmp_path / "target").mkdir()
    _as_others(pybuild, "chown", "-h", "33:33", str(place), str(link))
    try:
        for root in (place / "store", link, link / "store"):
            ended = pybuild.run("--root", str(root), ".", status=7)
            assert "leads through what is not yours" in ended.err
        assert list(place.iterdir()) == list((tmp_path / "target").iterdir()) == []
    finally:
        _as_others(pybuild, "chown", "-h", "0:0", str(place), str(link))


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
def test_the_umask(pybuild: Pybuild, busybox: str, mask: int, tmp_path: Path) -> None:
    """Store and temporary files are nobody else's, also while a build runs, and a build works under any umask."""
    pybuild.write(
        "Buildfile", f"FROM {busybox}\nRUN --mount=type=cache,target=/c sleep 0.7; touch /c/f /f\nCOPY . /d\n"
    )
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    argv = [sys.executable, "-c", f"import os, sys; os.umask({mask}); os.execv(sys.argv[1], sys.argv[1:])"]
    process = subprocess.Popen(
        [*argv, *pybuild.argv("--root", str(tmp_path / "deep" / "store"), ".")],
        cwd=pybuild.room,
        env=pybuild.env({"TMPDIR": str(temporary)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    open_to_others: set[Path] = set()
    while process.poll() is None:
        open_to_others |= _reachable(tmp_path / "deep") | _reachable(temporary)
        time.sleep(0.01)
    out, _ = process.communicate()
    assert process.returncode == 0, out.decode()
    assert open_to_others == set()
    assert (tmp_path / "deep").stat().st_mode & 0o777 == 0o700
    pybuild.run("unshare", "rm", "-rf", str(tmp_path / "deep"))


def _reachable(top: Path) -> set[Path]:
    """What others could open below a directory: they get no further than the first one that is closed to them."""
    found: set[Path] = set()
    waiting = [top]
    while waiting:
        path = waiting.pop()
        try:
            mode = path.lstat().st_mode
            if mode & 0o077 and not stat.S_ISLNK(mode) and path != top.parent:
                found.add(path)
            if stat.S_ISDIR(mode) and mode & 0o011:
                waiting += path.iterdir()
        except OSError:
            continue
    return found - {top} if top.name == "tmp" else found


def test_no_name_in_tmp_is_predictable(pybuild: Pybuild, busybox: str, tmp_path: Path) -> None:
    """Nothing follows what somebody has put into /tmp, and nothing is left there."""
    temporary, victim = tmp_path / "tmp", tmp_path / "victim"
    temporary.mkdir()
    victim.write_text("as it was")
    for name in ("pybuild", "pybuild-0", f"pybuild-{os.getuid()}", "builder", "containers", "probe-", "spool"):
        (temporary / name).symlink_to(victim)
    before = sorted(path.name for path in temporary.iterdir())
    layout = busybox.removeprefix("oci:").rpartition(":")[0]
    archive = tmp_path / "archive.tar"
    subprocess.run(["tar", "-C", layout, "-czf", str(archive), "."], check=True)
    pybuild.write("Buildfile", f"FROM oci-archive:{archive}\nRUN echo > /f\n")
    env = {"TMPDIR": str(temporary)}
    pybuild.run("-t", "a:1", ".", env=env)
    pybuild.run("ls", f"oci-archive:{archive}", "/etc", env=env, status=None)
    assert victim.read_text() == "as it was"
    assert sorted(path.name for path in temporary.iterdir()) == before
    pybuild.run("unshare", "rm", "-rf", str(pybuild.store))


def test_no_abstract_sockets(pybuild: Pybuild, busybox: str) -> None:
    """Whoever shares the network could connect to one (CVE-2020-15257): our processes have none."""
    pybuild.write("Buildfile", f"FROM {busybox}\nRUN sleep 8677\n")
    process = pybuild.start("--network=host", ".")
    below: list[int] = []

    def running() -> bool:
        below[:] = [process.pid, *descendants(process.pid)]
        return any(b"8677" in _cmdline(pid) and b"sleep" in _cmdline(pid)[:6] for pid in below)

    try:
        until(running, 20)
        abstract = {
            row.split()[6]
            for row in Path("/proc/net/unix").read_text().splitlines()[1:]
            if len(row.split()) > 7 and row.split()[7].startswith("@")
        }
        ours = {os.readlink(fd) for pid in below for fd in _descriptors(pid) if os.path.lexists(fd)}
        assert not {f"socket:[{inode}]" for inode in abstract} & ours
    finally:
        process.terminate()
        process.wait(20)
        pybuild.run("unshare", "rm", "-rf", str(pybuild.store))


def _cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _descriptors(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return []
