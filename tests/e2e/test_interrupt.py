"""Builds that are stopped: by Ctrl-C, by signals, by kill -9 of a process of theirs. Nothing is left, nothing lost."""

from __future__ import annotations

import os
import pty
import random
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernel.processes import descendants, is_alive, until
from tests.oci.images import sample
from tests.oci.rogue import Exchange, running_rogue
from tests.support.command import Pybuild

pytestmark = pytest.mark.kernel

AT_ONCE_S = 2.0
STOPS = [pytest.param(signal.SIGINT, 130, id="SIGINT"), pytest.param(signal.SIGTERM, 143, id="SIGTERM")]


def processes_with(marker: str) -> list[int]:
    """Processes, wherever on this machine, that have the marker on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes() and is_alive(int(path.parent.name)):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def mounts_of(store: Path) -> list[str]:
    """Mounts of the store's directories, in any mount namespace that we may look into."""
    found: set[str] = set()
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            found.update(line for line in path.read_text().splitlines() if str(store) in line)
        except OSError:
            continue
    return sorted(found)


def hard_to_end(pybuild: Pybuild, base: str) -> str:
    """Write a Buildfile whose RUN ignores signals and leaves daemons about; the word that marks its processes."""
    marker = f"86{random.randrange(10**8):08}"
    daemon = f"(trap '' INT TERM HUP; setsid sleep {marker} </dev/null >/dev/null 2>&1 &)"
    pybuild.write("Buildfile", f"FROM {base}\nRUN trap '' INT TERM HUP; {daemon}; touch /x; sleep {marker}; true\n")
    return marker


def started(pybuild: Pybuild, marker: str) -> subprocess.Popen[bytes]:
    """Start the build and wait until its step runs."""
    process = pybuild.start(".")

    def is_running() -> bool:
        assert process.poll() is None, process.communicate()[0].decode()
        return len(processes_with(marker)) >= 2

    until(is_running, 20)
    return process


def assert_nothing_is_left(pybuild: Pybuild, marker: str, base: str) -> None:
    """No process, no mount, a sound store, and the next build works."""
    until(lambda: not processes_with(marker), AT_ONCE_S)
    until(lambda: not mounts_of(pybuild.store), AT_ONCE_S)
    pybuild.run("store", "check")
    pybuild.write("Buildfile", f"FROM {base}\nRUN echo whole >/file\n")
    assert "CACHED" not in pybuild.run(".").err
    assert "CACHED" in pybuild.run(".").err
    pybuild.run("store", "check")


def assert_ends(process: subprocess.Popen[bytes], status: int) -> str:
    """It ends soon with this status, and says what stopped it."""
    begun = time.monotonic()
    out, _ = process.communicate(timeout=20)
    text = out.decode()
    assert time.monotonic() - begun < AT_ONCE_S
    assert process.returncode == status, text
    assert "Traceback" not in text and "internal error" not in text, text
    return text


@pytest.mark.parametrize(("number", "status"), STOPS)
def test_a_signal_in_a_step(pybuild: Pybuild, busybox: str, number: signal.Signals, status: int) -> None:
    """A step that will not listen, and the daemon it left about, end at once all the same."""
    marker = hard_to_end(pybuild, busybox)
    process = started(pybuild, marker)
    process.send_signal(number)
    assert f"stopped by {number.name}" in assert_ends(process, status)
    assert_nothing_is_left(pybuild, marker, busybox)


def test_ctrl_c_at_a_terminal(pybuild: Pybuild, busybox: str) -> None:
    """Ctrl-C goes to the whole foreground group of a terminal; one message is seen, and the exit code is 130."""
    marker = hard_to_end(pybuild, busybox)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(pybuild.room)
        argv = pybuild.argv(".")
        os.execve(argv[0], argv, pybuild.env(None))
    seen = bytearray()
    os.set_blocking(terminal, False)

    def is_running() -> bool:
        _drain(terminal, seen)
        return len(processes_with(marker)) >= 2

    until(is_running, 20)
    os.write(terminal, b"\x03")
    begun = time.monotonic()
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        _drain(terminal, seen)
        assert time.monotonic() - begun < AT_ONCE_S, seen.decode(errors="replace")
        time.sleep(0.005)
    _drain(terminal, seen)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    text = seen.decode(errors="replace")
    assert text.count("stopped by SIGINT") == 1 and "Traceback" not in text, text
    assert_nothing_is_left(pybuild, marker, busybox)


def _drain(terminal: int, seen: bytearray) -> None:
    try:
        while data := os.read(terminal, 65536):
            seen += data
    except OSError:  # nothing there just now, or the other side has ended
        pass


def test_kill_9_of_the_conductor(pybuild: Pybuild, busybox: str) -> None:
    """The worker and the steps do not outlive the command that started them."""
    marker = hard_to_end(pybuild, busybox)
    process = started(pybuild, marker)
    process.kill()
    process.wait()
    assert_nothing_is_left(pybuild, marker, busybox)


@pytest.mark.parametrize("which", [0, 1], ids=["porter", "pid 1 of the namespace"])
def test_kill_9_of_the_worker(pybuild: Pybuild, busybox: str, which: int) -> None:
    """Without its worker the command ends with an error about the machine, not with a bug, and nothing hangs."""
    marker = hard_to_end(pybuild, busybox)
    process = started(pybuild, marker)
    os.kill(descendants(process.pid)[which], signal.SIGKILL)
    assert "worker was killed" in assert_ends(process, 6)
    assert_nothing_is_left(pybuild, marker, busybox)


@pytest.fixture(scope="module")
def many_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system that takes a while to unpack."""
    path = tmp_path_factory.mktemp("many") / "rootfs.tar"
    with path.open("wb") as out:
        for number in range(20_000):
            out.write(tarfile.TarInfo(f"f{number:05}").tobuf(tarfile.USTAR_FORMAT))
        out.write(bytes(1024))
    return path


@pytest.mark.parametrize(("number", "status"), [*STOPS, pytest.param(signal.SIGKILL, -9, id="SIGKILL")])
def test_a_signal_while_a_layer_is_unpacked(
    pybuild: Pybuild, busybox: str, many_files: Path, number: signal.Signals, status: int
) -> None:
    """Half a tree is never taken for a snapshot: the next build unpacks it whole."""
    pybuild.write("Buildfile", 'FROM many\nRUN ["/none"]\n')
    process = pybuild.start("--build-context", f"many=rootfs:{many_files}", ".")
    until(lambda: any(pybuild.store.glob("pybuild/tmp/*/d*/fs/f*")), 20)
    process.send_signal(number)
    assert_ends(process, status)
    assert not any(pybuild.store.glob("pybuild/snapshots/*"))
    again = pybuild.run("--build-context", f"many=rootfs:{many_files}", ".", status=1)
    assert "/none" in again.err
    (tree,) = pybuild.store.glob("pybuild/snapshots/*/fs")
    assert len(os.listdir(tree)) == 20_000
    assert_nothing_is_left(pybuild, str(many_files), busybox)


@pytest.fixture
def slow_registry() -> Iterator[tuple[str, Callable[[], bool]]]:
    """A registry that is asked for a layer and never comes to its end; its image, and whether it was asked."""
    image = sample()
    with running_rogue() as rogue:
        rogue.serve("slow", image)
        asked = []

        def dawdle(exchange: Exchange) -> None:
            blob = image.blobs[image.image.layers[0].descriptor.digest]
            exchange.begin(200, Content_Length=len(blob))
            exchange.write(blob[:10])
            asked.append(True)
            time.sleep(20)

        rogue.routes[f"/v2/slow/blobs/{image.image.layers[0].descriptor.digest}"] = dawdle
        yield f"{rogue.address}/slow:1", lambda: bool(asked)


@pytest.mark.parametrize(("number", "status"), STOPS)
def test_a_signal_during_a_pull(
    pybuild: Pybuild,
    busybox: str,
    slow_registry: tuple[str, Callable[[], bool]],
    number: signal.Signals,
    status: int,
) -> None:
    """A transfer that hangs is given up at once, and no part of a blob has a blob's name."""
    name, is_asked = slow_registry
    pybuild.write("Buildfile", f"FROM {name}\nCOPY Buildfile /here\n")
    process = pybuild.start(".")
    until(is_asked, 20)
    process.send_signal(number)
    assert_ends(process, status)
    assert_nothing_is_left(pybuild, name, busybox)


def test_a_second_ctrl_c_changes_nothing(pybuild: Pybuild, busybox: str) -> None:
    """Impatient people press it again and again."""
    marker = hard_to_end(pybuild, busybox)
    process = started(pybuild, marker)
    for _ in range(5):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    assert_ends(process, 130)
    assert_nothing_is_left(pybuild, marker, busybox)
