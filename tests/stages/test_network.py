"""The networks of steps in whole builds: the build's own, or the machine's where there is no other."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from builder.errors import BuildfileError
from builder.kernel import usernet
from builder.stages.network import RESOLVER, _loopback_port, needs_resolver, resolvers
from builder.values.crossing import NetworkMode
from builder.values.event import Note
from tests.stages.builds import Bench
from tests.support.machine import Machine

HELPERS = ("/usr/bin/pasta", "/usr/bin/slirp4netns")

helped = pytest.mark.skipif(
    not (os.access("/dev/net/tun", os.R_OK | os.W_OK) and any(map(os.path.exists, HELPERS))),
    reason="needs pasta or slirp4netns, and /dev/net/tun",
)


@pytest.mark.parametrize(
    ("host", "step"),
    [
        ("nameserver 10.1.1.1\nnameserver 10.1.1.2\n", "nameserver 10.1.1.1\nnameserver 10.1.1.2\n"),
        ("nameserver 127.0.0.53\noptions edns0\nsearch a b\n", f"nameserver {RESOLVER}\noptions edns0\nsearch a b\n"),
        (
            "nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 9.9.9.9",
            f"nameserver {RESOLVER}\nnameserver 9.9.9.9\n",
        ),
        ("nameserver ::1\n", f"nameserver {RESOLVER}\n"),
        ("nameserver fe80::1%eth0\nnameserver 2001:db8::1\n", "nameserver 2001:db8::1\n"),
        ("nameserver fe80::1%eth0\n", f"nameserver {RESOLVER}\n"),
        (
            "nameserver nonsense\nnameserver\n; a comment\nsortlist 1.2.3.4\n",
            f"nameserver {RESOLVER}\nsortlist 1.2.3.4\n",
        ),
        ("nameserver 9.9.9.9\nnameserver 127.0.0.1\n", f"nameserver {RESOLVER}\n"),
        ("nameserver 2001:db8::1\nnameserver ::1\n", f"nameserver {RESOLVER}\nnameserver 2001:db8::1\n"),
        ("", f"nameserver {RESOLVER}\n"),
    ],
)
def test_resolvers(host: str, step: str) -> None:
    """Servers on the machine's own loopback and links are not those of the step; all else stays as it is."""
    assert resolvers(host) == step
    assert needs_resolver(host) is (RESOLVER in step) and usernet.RESOLVER == RESOLVER


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://127.0.0.1:3128", 3128),
        ("http://u:p@localhost:8080/", 8080),
        ("localhost:3128", 3128),
        ("http://[::1]:99", 99),
        ("https://127.0.0.1", 443),
        ("http://127.0.0.1", 80),
        ("http://proxy.example:3128", None),
        ("http://10.0.0.1:3128", None),
        ("http://127.0.0.1:x", None),
        ("http://[", None),
        ("", None),
    ],
)
def test_proxies_on_the_loopback(url: str, port: int | None) -> None:
    """Only a proxy on this machine's loopback needs a way that leads there."""
    assert _loopback_port(url) == port


@pytest.mark.kernel
@helped
def test_a_build_has_a_network_of_its_own(bench: Bench, busybox: str) -> None:
    """The steps of a build are in one namespace that is not the machine's, with its own names, and nothing is noted."""
    look = "readlink /proc/self/ns/net; ip -o -4 addr show eth0; wc -l </etc/hosts"
    bench.build(f"FROM {busybox}\nRUN {look}\nRUN {look} # again\n")
    lines = bench.output.splitlines()
    assert lines[:3] == lines[3:] and lines[0] != os.readlink("/proc/self/ns/net")
    assert " 10.0.2.100/24 " in lines[1] and lines[2] == "2"
    assert not [event for event in bench.events if isinstance(event, Note)]


@pytest.mark.kernel
@helped
def test_auto_is_the_default(bench: Bench, busybox: str) -> None:
    """What a step did in a network of the build's is found again; the machine's own is another key."""
    buildfile = f"FROM {busybox}\nRUN true\n"
    bench.build(buildfile)
    bench.build(buildfile, network=NetworkMode("auto"))
    assert bench.cached
    bench.build(buildfile, network=NetworkMode.HOST)
    assert not bench.cached


@pytest.mark.kernel
@helped
def test_the_host_must_be_allowed(bench: Bench, busybox: str) -> None:
    """RUN --network=host is refused at its line unless the command line says network.host."""
    buildfile = f"FROM {busybox}\nRUN --network=host readlink /proc/self/ns/net\n"
    error = bench.fails(BuildfileError, buildfile)
    assert error.span is not None and error.span.first == 2 and "--allow network.host" in (error.hint or "")
    bench.build(buildfile, allow=("network.host",))
    assert bench.output.strip() == os.readlink("/proc/self/ns/net")


@pytest.mark.kernel
@helped
def test_what_listens_ends_with_its_step(bench: Bench, busybox: str) -> None:
    """A server that a step leaves behind is not there for the next, though the namespace is the same."""
    serve = "(httpd -p 127.0.0.1:8080 -h /); sleep 0.2; wget -qO /dev/null 127.0.0.1:8080/etc/group && echo listens"
    bench.build(f"FROM {busybox}\nRUN {serve}\nRUN wget -qO /dev/null 127.0.0.1:8080/etc/group || echo gone\n")
    assert bench.output.splitlines()[0] == "listens" and bench.output.endswith("gone\n")


@pytest.mark.kernel
@helped
def test_a_proxy_of_the_callers_on_the_loopback(bench: Bench, busybox: str) -> None:
    """HTTP_PROXY on this machine's loopback leads there from the step's."""
    program = textwrap.dedent("""
        import socket
        server = socket.create_server(("127.0.0.1", 0))
        print(server.getsockname()[1], flush=True)
        taken, _ = server.accept()
        taken.recv(1000)
        taken.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nfrom the proxy\\n")
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        try:
            bench.build(f"FROM {busybox}\nRUN wget -qO- http://x.test/\n", proxies=(("http_proxy", url),))
        finally:
            server.kill()
    assert bench.output == "from the proxy\n"


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("hidden", "words"),
    [(HELPERS, "neither pasta nor slirp4netns is installed"), (("/dev/net/tun",), "pasta: ")],
    ids=["programs", "device"],
)
def test_a_machine_that_cannot(busybox: str, tmp_path: Path, hidden: tuple[str, ...], words: str) -> None:
    """Without the programs, or the device that they need, steps are on the machine's network, which is told once."""
    machine = Machine(tuple((name, Path("/dev/null")) for name in hidden if os.path.exists(name)))
    done = _in_machine(machine, tmp_path, f"FROM {busybox}\nRUN ip -o -4 addr show eth0\nRUN echo twice\n")
    assert done.returncode == 0, done.stderr
    assert " 192.0.2.9/24 " in done.stderr and "twice" in done.stderr
    assert done.stderr.count("steps use this machine's own network") == 1 and words in done.stderr


@pytest.mark.kernel
@helped
@pytest.mark.parametrize("helper", ["pasta", "slirp4netns"])
@pytest.mark.parametrize(("server", "asked"), [("127.0.0.53", RESOLVER), ("192.0.2.9", "192.0.2.9")])
def test_names_are_answered(busybox: str, tmp_path: Path, helper: str, server: str, asked: str) -> None:
    """The machine's resolver answers the steps, through either program, also where it is on the loopback, as
    systemd-resolved is; any other is asked directly.
    """
    conf = tmp_path / "resolv.conf"
    conf.write_text(f"nameserver {server}\noptions timeout:2\n")
    other = [(name, Path("/dev/null")) for name in HELPERS if not name.endswith(helper) and os.path.exists(name)]
    machine = Machine((("/etc/resolv.conf", conf), *other))
    resolver = f"{shlex.quote(sys.executable)} -c {shlex.quote(_RESOLVER)} {server} & sleep 0.5"
    done = _in_machine(machine, tmp_path, f"FROM {busybox}\nRUN nslookup -type=a some.test\n", resolver)
    assert done.returncode == 0, done.stderr
    assert "198.51.100.7" in done.stderr and asked in done.stderr


_RESOLVER = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
while True:
    asked, who = server.recvfrom(512)
    question = asked[12:]
    name = question[: question.index(0) + 5]
    answer = b"\\xc0\\x0c\\0\\x01\\0\\x01\\0\\0\\0\\x3c\\0\\x04" + bytes((198, 51, 100, 7))
    server.sendto(asked[:2] + b"\\x81\\x80\\0\\x01\\0\\x01\\0\\0\\0\\0" + name + answer, who)
"""


def _in_machine(machine: Machine, room: Path, buildfile: str, *before: str) -> subprocess.CompletedProcess[str]:
    """Build with the command itself in a machine of the tests' own."""
    (room / "Buildfile").write_text(buildfile)
    words = [sys.executable, "-m", "builder", "--progress", "plain", "--root", str(room / "store"), str(room)]
    source = Path(__file__).parents[2]
    return machine.run(f"cd {shlex.quote(str(source))}", *before, shlex.join(words))
