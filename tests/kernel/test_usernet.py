"""The network namespace of a build's steps, with the programs that Debian has and with some that fail."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import MachineError
from builder.kernel.spawn import start_worker
from builder.kernel.usernet import ADDRESS
from builder.kernel.worker_handle import Worker
from builder.stages.network import RESOLVER
from builder.values.crossing import Networked, NetworkJob, NetworkMode, NetworkPlace, Ran, Rung, RunJob, StepSpec, Tree
from tests.kernel.bench import make_image
from tests.kernel.processes import descendants, is_alive, until

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="needs /dev/net/tun")]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    place = tmp_path_factory.mktemp("image")
    make_image(place / "root")
    return Tree((str(place / "root"),))


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    with start_worker(tmp_path) as started:
        yield started


def made(worker: Worker, job: NetworkJob) -> Networked:
    answer = worker.call(job)
    assert isinstance(answer, Networked)
    return answer


def helpers(place: Path, **scripts: str) -> str:
    """A directory with the named programs: a script, or the machine's own where the text is empty."""
    directory = place / "programs"
    directory.mkdir()
    for name, text in scripts.items():
        if text:
            (directory / name).write_text(f"#!/bin/sh\n{text}\n")
            (directory / name).chmod(0o755)
        else:
            (directory / name).symlink_to(f"/usr/bin/{name}")
    return str(directory)


def said(worker: Worker, image: Tree, place: NetworkPlace | None, script: str) -> str:
    """What a script says in a step with this network."""
    room = Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR")))
    step = StepSpec(
        ("sh", "-c", script),
        (("PATH", "/bin"),),
        "/",
        0,
        0,
        (),
        image,
        str(room / "upper"),
        str(room / "work"),
        network=NetworkMode.DEFAULT,
        namespace=place,
    )
    with tempfile.TemporaryFile() as output:
        answer = worker.call(RunJob(step), (output.fileno(),))
        assert isinstance(answer, Ran)
        output.seek(0)
        return output.read().decode()


@pytest.mark.parametrize("rung", [Rung.RANGE, Rung.SINGLE])
@pytest.mark.parametrize("helper", ["pasta", "slirp4netns"])
def test_a_network_of_its_own(rung: Rung, helper: str, image: Tree, tmp_path: Path) -> None:
    """Either program gives the same address, a way out and somebody who answers for names, on each rung."""
    with start_worker(tmp_path, rung) as worker:
        network = made(worker, NetworkJob(places=helpers(tmp_path, **{helper: ""})))
        assert (network.helper, network.failures) == (helper, "")
        text = said(worker, image, network.namespace, "ifconfig; ip route; ls /sys/class/net; cat /proc/net/unix")
    assert f"inet addr:{ADDRESS}" in text and "127.0.0.1" in text
    assert "default via 10.0.2.2" in text and RESOLVER.startswith("10.0.2.")
    assert not [line for line in text.splitlines() if "@" in line]


def test_pasta_comes_first(worker: Worker) -> None:
    """Where both are installed pasta is taken."""
    assert made(worker, NetworkJob()).helper == "pasta"


@pytest.mark.parametrize("script", ["echo no luck >&2; exit 1", "kill -9 $$", "exec sleep 60"])
def test_one_that_fails_gives_way(worker: Worker, tmp_path: Path, script: str) -> None:
    """A pasta that ends badly, or is never ready, gives way to slirp4netns, and it is said why."""
    network = made(worker, NetworkJob(places=helpers(tmp_path, pasta=script, slirp4netns="")))
    assert network.helper == "slirp4netns" and network.namespace is not None
    assert network.failures.startswith("pasta: ")
    assert "no luck" in network.failures or "status -9" in network.failures or "not ready" in network.failures


def test_all_that_fail(worker: Worker, tmp_path: Path) -> None:
    """Where none works there is no namespace, no process is left, and each has said why."""
    before = set(descendants(os.getpid()))
    places = helpers(tmp_path, pasta="echo one >&2; exit 1", slirp4netns="echo two >&2; exit 1")
    network = made(worker, NetworkJob(places=places))
    assert network == Networked("", None, "pasta: one; slirp4netns: two")
    until(lambda: not {pid for pid in descendants(os.getpid()) if is_alive(pid)} - before)


def test_none_that_is_installed(worker: Worker, tmp_path: Path) -> None:
    """Without either program it is said that they are missing."""
    network = made(worker, NetworkJob(places=str(tmp_path)))
    assert network == Networked("", None, "neither pasta nor slirp4netns is installed")


def test_the_host_is_not_on_its_loopback(worker: Worker, image: Tree) -> None:
    """A server on this machine's loopback is not found there, and not behind the gateway; abstract sockets neither."""
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        network = made(worker, NetworkJob())
        script = f"for a in 127.0.0.1 10.0.2.2; do nc -w 1 $a {port} </dev/null && echo reached $a; done"
        text = said(worker, image, network.namespace, script + "; grep -c pybuild-test-abstract /proc/net/unix")
        assert text.splitlines()[-1] == "0" and "reached" not in text
        assert "pybuild-test-abstract" in Path("/proc/net/unix").read_text()
    finally:
        server.kill()
        server.wait()


_SERVER = textwrap.dedent("""
    import socket
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind("\\0pybuild-test-abstract")
    abstract.listen()
    server = socket.create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    while True:
        taken, _ = server.accept()
        taken.sendall(b"hello\\n")
        taken.close()
""")


def test_the_callers_proxy_is_led_to(worker: Worker, image: Tree) -> None:
    """The port of a proxy on this machine's loopback is reached, and no other."""
    server = subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        network = made(worker, NetworkJob(forwarded=(port,)))
        assert said(worker, image, network.namespace, f"nc -w 5 127.0.0.1 {port} </dev/null") == "hello\n"
    finally:
        server.kill()
        server.wait()


def test_a_proxy_on_the_loopback_needs_pasta(worker: Worker, tmp_path: Path) -> None:
    """slirp4netns cannot lead to one port alone, so it is not taken for that."""
    network = made(worker, NetworkJob((3128,), places=helpers(tmp_path, slirp4netns="")))
    assert network.namespace is None and "loopback" in network.failures


def test_it_ends_with_the_worker(tmp_path: Path) -> None:
    """Nothing of it is left when the worker has ended, however that was asked for."""
    for end in ("close", "kill"):
        others = set(descendants(os.getpid()))  # of other tests, such as a registry
        with start_worker(tmp_path) as worker:
            made(worker, NetworkJob())
            below = [pid for pid in descendants(os.getpid()) if pid not in others]
            assert any(name_of(pid).startswith(("passt", "pasta")) for pid in below)
            getattr(worker, end)()
        until(functools.partial(_are_over, below))


def test_it_ends_with_a_killed_conductor(tmp_path: Path) -> None:
    """After kill -9 of the conductor pasta goes too."""
    program = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from builder.kernel.spawn import start_worker
        from builder.values.crossing import NetworkJob
        worker = start_worker(Path(sys.argv[1]))
        print(worker.call(NetworkJob()).helper, flush=True)
        time.sleep(60)
    """)
    conductor = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert conductor.stdout is not None and conductor.stdout.readline() == "pasta\n"
    below = descendants(conductor.pid)
    assert any(name_of(pid).startswith(("passt", "pasta")) for pid in below)
    conductor.send_signal(signal.SIGKILL)
    conductor.wait()
    until(lambda: not [pid for pid in below if is_alive(pid)])


def test_a_namespace_that_went_away(worker: Worker, image: Tree) -> None:
    """A step is not let into another namespace than the one that was made, were it the host's."""
    for place in (NetworkPlace("/proc/self/ns/net", 1), NetworkPlace("/proc/0/ns/net", 1)):
        with pytest.raises(MachineError, match="went away"):
            said(worker, image, place, "true")


def name_of(pid: int) -> str:
    """The name of a process's program."""
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


def _are_over(pids: list[int]) -> bool:
    return not any(map(is_alive, pids))
