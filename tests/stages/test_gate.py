"""--network=proxy in whole builds: what a step reaches, what it does not, and what is remembered of it."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import BuildfileError, StepFailed
from builder.stages.gate import _teller, variables
from builder.store import Store
from builder.values.build import BuildRecord, Outcome
from builder.values.contact import Contact
from builder.values.crossing import NetworkMode
from builder.values.event import Contacted, Note
from builder.values.hosts import HostPattern
from builder.values.request import BuildRequest, Secret
from tests.kernel.served import answering, read_head, server
from tests.stages.builds import Bench
from tests.support.images import ReadImage

pytestmark = pytest.mark.kernel


def built(bench: Bench, buildfile: str, *patterns: str, **asked: object) -> ReadImage:
    """Build with the proxy and these patterns."""
    allowed = tuple(map(HostPattern.parse, patterns))
    return bench.build(buildfile, network=NetworkMode.PROXY, allow_hosts=allowed, **asked)


def notes(bench: Bench) -> list[str]:
    return [event.text for event in bench.events if isinstance(event, Note)]


def contacts(bench: Bench) -> list[Contact]:
    found = [event.contacts for event in bench.events if isinstance(event, Contacted)]
    return [contact for each in found for contact in each.kept]


def latest(bench: Bench) -> BuildRecord:
    with Store.open(bench.root) as store:
        return next(iter(store.builds.all()))


def test_a_host_that_is_allowed(bench: Bench, busybox: str) -> None:
    """A step fetches through the proxy, and what it fetched is told and remembered."""
    with server(answering(b"fetched\n")) as port:
        built(bench, f"FROM {busybox}\nRUN wget -qO- http://127.0.0.1:{port}/a?b=c\n", f"127.0.0.1:{port}")
    assert bench.output == "fetched\n" and not notes(bench)
    (contact,) = contacts(bench)
    assert (contact.host, contact.port, contact.path, contact.count) == ("127.0.0.1", port, "/a", 1)
    record = latest(bench)
    assert record.network == "proxy" and record.image and record.names == ("app:1",)
    (step,) = record.steps
    assert step.outcome is Outcome.DONE and step.contacts.kept == (contact,)


def test_a_tunnel(bench: Bench, busybox: str) -> None:
    """CONNECT leads to the host itself, whatever is spoken there."""

    def greet(end: socket.socket) -> None:
        end.sendall(b"hello " + end.recv(100))

    with server(greet) as port:
        talk = f"(printf 'CONNECT localhost:{port} HTTP/1.1\\r\\n\\r\\n'; sleep 0.3; echo you; sleep 0.3)"
        built(bench, f"FROM {busybox}\nRUN {talk} | nc 127.0.0.1 3128\n", "localhost")
    assert bench.output.splitlines()[0].startswith("HTTP/1.1 200 ") and "hello you" in bench.output
    assert [(one.method, one.host, one.port) for one in contacts(bench)] == [("CONNECT", "localhost", port)]


def test_a_host_that_is_not(bench: Bench, busybox: str) -> None:
    """Another host is answered with 403, a note names it once, and the record says why."""
    fetch = "wget -qO- http://evil.test/x; wget -qO- http://evil.test/x; true"
    built(bench, f"FROM {busybox}\nRUN {fetch}\n", "good.test")
    assert "403 Forbidden" in bench.output
    assert notes(bench) == ["a step was refused evil.test:80/x: it is not among the hosts of --allow-host"]
    (contact,) = latest(bench).steps[0].contacts.kept
    assert contact.host == "evil.test" and contact.count == 2 and contact.refusal


def test_this_machine_is_not_reached(bench: Bench, busybox: str) -> None:
    """Without a word for it the loopback is refused, by address and by name."""
    with server(answering(b"fetched\n")) as port:
        fetch = f"wget -qO- http://127.0.0.1:{port}/; wget -qO- http://localhost:{port}/; true"
        built(bench, f"FROM {busybox}\nRUN {fetch}\n")
    assert "fetched" not in bench.output and len(notes(bench)) == 2
    assert all("--allow-host 127.0.0.1" in text or "--allow-host" in text for text in notes(bench))


def test_nothing_goes_around_it(bench: Bench, busybox: str) -> None:
    """Who heeds no variable reaches nobody: no interface, no route, no name, no abstract socket."""
    with server(answering(b"fetched\n"), "0.0.0.0") as port, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0pybuild-test-gate")
        look = f"ls /sys/class/net; ip route; nc -w 1 {_own_address()} {port} </dev/null || echo nobody"
        begun = time.monotonic()
        built(bench, f"FROM {busybox}\nRUN {look}; nslookup a.test >/dev/null || echo nameless; cat /proc/net/unix\n")
    assert [line for line in bench.output.splitlines() if line in ("eth0", "lo", "nobody", "nameless")] == [
        "lo",
        "nobody",
        "nameless",
    ]
    assert "default" not in bench.output and "@" not in bench.output
    assert time.monotonic() - begun < 10


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            any_socket.connect(("192.0.2.1", 9))
        except OSError:
            return "192.0.2.1"
        return str(any_socket.getsockname()[0])


def test_the_variables(bench: Bench, busybox: str) -> None:
    """They come before the image's and ARGs', and are in no config and no history."""
    text = f"FROM {busybox}\nENV http_proxy=http://old:1 NO_PROXY=*\nRUN env | grep -i _proxy | sort\n"
    callers = (("HTTPS_PROXY", "http://caller:1"), ("FTP_PROXY", "http://user:pass@caller:1"))
    image = built(bench, text, proxies=callers)
    lines = bench.output.splitlines()
    assert "caller" not in bench.output  # the login of a proxy that cannot be used either
    assert (
        len(lines) == 10
        and "http_proxy=http://127.0.0.1:3128" in lines
        and "https_proxy=http://127.0.0.1:3128" in lines
    )
    assert "no_proxy=localhost,127.0.0.1,::1" in lines
    assert "3128" not in str(image.config) and "http_proxy=http://old:1" in str(image.config)


def test_the_steps_own_loopback() -> None:
    """no_proxy names it, unless a pattern means this machine's: then all goes to the proxy."""
    request = BuildRequest(Path("/"))
    assert dict(variables(request))["no_proxy"] == "localhost,127.0.0.1,::1"
    for pattern in ("127.0.0.1:80", "localhost", "[::1]"):
        meant = replace(request, allow_hosts=(HostPattern.parse(pattern),))
        assert dict(variables(meant))["NO_PROXY"] == ""


def test_what_is_in_the_key(bench: Bench, busybox: str) -> None:
    """The proxy and its patterns are: what is found was made under the same rules, in whatever order they are given."""
    text = f"FROM {busybox}\nRUN true\n"
    built(bench, text, "a.test", "b.test")
    built(bench, text, "b.test", "a.test")
    assert bench.cached
    for patterns in ((), ("a.test",)):
        built(bench, text, *patterns)
        assert not bench.cached
    bench.build(text, network=NetworkMode.NONE)
    assert not bench.cached


def test_steps_that_want_less_or_more(bench: Bench, busybox: str) -> None:
    """RUN --network=none has no proxy; RUN --network=host needs to be allowed."""
    built(bench, f"FROM {busybox}\nRUN --network=none env | grep -ci proxy || nc -w 1 127.0.0.1 3128 || echo none\n")
    assert "none" in bench.output.split()
    error = bench.fails(BuildfileError, f"FROM {busybox}\nRUN --network=host true\n", network=NetworkMode.PROXY)
    assert "--allow network.host" in (error.hint or "")


def test_the_callers_proxy_is_passed_through(bench: Bench, busybox: str) -> None:
    """What this machine's environment names is asked, with whole URLs; it looks names up."""
    heard: list[bytes] = []

    def answer(end: socket.socket) -> None:
        heard.append(read_head(end))
        end.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfar\n")

    with server(answer) as port:
        proxy = f"http://user:pass@127.0.0.1:{port}"
        built(bench, f"FROM {busybox}\nRUN wget -qO- http://far.invalid/x\n", proxies=(("http_proxy", proxy),))
    assert bench.output == "far\n"
    assert heard[0].startswith(b"GET http://far.invalid/x HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in heard[0]


def test_the_buildfile_does_not_say_through_whom(bench: Bench, busybox: str) -> None:
    """An ARG or ENV of a proxy variable's name changes nothing about whose proxy is passed through."""
    text = f"FROM {busybox}\nARG http_proxy\nENV HTTP_PROXY= no_proxy=*\nRUN wget -qO- http://far.invalid/x\n"
    with server(answering(b"far\n")) as port:
        built(bench, text, proxies=(("http_proxy", f"http://127.0.0.1:{port}"),))
    assert bench.output == "far\n"


def test_a_step_that_fails_is_remembered(bench: Bench, busybox: str) -> None:
    """What it talked to may be why it failed."""
    text = f"FROM {busybox}\nRUN true\nRUN wget -qO- http://evil.test/\n"
    bench.fails(StepFailed, text, network=NetworkMode.PROXY, allow_hosts=(HostPattern.parse("good.test"),))
    record = latest(bench)
    assert not record.image and [step.outcome for step in record.steps] == [Outcome.DONE, Outcome.FAILED]
    assert record.steps[1].contacts.kept[0].host == "evil.test"


def test_secrets_are_not_remembered(bench: Bench, busybox: str) -> None:
    """A secret in a host or a path is stars in the record."""
    fetch = 'wget -qO- "http://$(cat /run/secrets/s).test/$(cat /run/secrets/s)/x"; true'
    secrets = (Secret("s", b"hunter2-hunter2"),)
    built(bench, f"FROM {busybox}\nRUN --mount=type=secret,id=s {fetch}\n", "good.test", secrets=secrets)
    folder = Path(bench.root) / "pybuild" / "builds"
    text = "".join(path.read_text() for path in folder.iterdir())
    assert "hunter2" not in text and "***" in text


def test_notes_are_bounded(bench: Bench) -> None:
    """A step that asks for many hosts that are refused does not flood whoever reads."""
    tell = _teller(bench.events.append)
    for number in range(100):
        tell(Contact("GET", f"h{number}.test", 80, "/", refusal="no"))
    assert len(notes(bench)) == 21 and "builds show" in notes(bench)[-1]
