"""Who may be talked to, at which address, and through whom."""

from __future__ import annotations

import socket
import time

import pytest

from builder.kernel import dial
from builder.kernel.dial import Dialler, Refused, Unreachable
from builder.values.hosts import HostPattern, HostRules
from tests.kernel.served import read_head, server


def dialler(*patterns: str, proxy: str = "") -> Dialler:
    return Dialler(HostRules(tuple(map(HostPattern.parse, patterns))), lambda *_: proxy)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "a.localhost",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0",
        "::1",
        "169.254.169.254",
        "metadata",
    ],
)
@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:9"])
def test_this_machine_is_not_reached_by_chance(host: str, proxy: str) -> None:
    """Loopback and metadata are refused in every spelling that the look-up or another proxy would understand."""
    with pytest.raises(Refused, match="--allow-host"):
        dialler(proxy=proxy).connect("http", host, 80)


def test_a_name_that_leads_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that a pattern admits is refused where it leads to the loopback; it is looked up once."""
    asked = []

    def look_up(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(Refused, match=r"127\.0\.0\.1 is this machine's own"):
        dialler("rebound.test").connect("http", "rebound.test", 80)
    assert asked == ["rebound.test"]


def test_what_was_judged_is_what_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several addresses those that are refused are left out; the connection goes to the address, not the name."""
    with server(lambda end: end.sendall(b"here")) as port:
        places = [("169.254.169.254", port), ("127.0.0.1", port)]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with dialler("two.test", "127.0.0.1").connect("http", "two.test", port).socket as end:
            assert end.getpeername() == ("127.0.0.1", port) and end.recv(10) == b"here"


def test_a_name_with_many_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its addresses together have a deadline: a step cannot keep us dialling."""
    monkeypatch.setattr(dial, "_ADDRESSES_S", -1.0)
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 9))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(Unreachable, match="too long"):
        dialler("many.test").connect("http", "many.test", 9)


def test_nobody_there() -> None:
    """A name that is not known, and one that is none, cannot be reached."""
    for host in ("nowhere.invalid", "x" * 70 + ".test", "a..b"):
        with pytest.raises(Unreachable, match="looked up"):
            dialler().connect("http", host, 80)


class TestChains:
    """The surrounding machine's own proxy."""

    def test_a_request(self) -> None:
        """A request goes to it with its login; where the name leads is its affair."""
        with server(lambda _: None) as port:
            dialled = dialler(proxy=f"http://us%65r:p%40ss@127.0.0.1:{port}").connect("http", "far.invalid", 80)
            assert dialled.proxy == "127.0.0.1"
            assert dialled.authorization == b"Basic dXNlcjpwQHNz"
            dialled.socket.close()

    def test_a_tunnel(self) -> None:
        """It is asked for a tunnel, and what follows its answer is the tunnel's."""
        heard = []

        def answer(end: socket.socket) -> None:
            heard.append(read_head(end))
            end.sendall(b"HTTP/1.1 200 fine\r\nX: y\r\n\r\nthrough")

        with server(answer) as port, dialler(proxy=f"http://u:p@127.0.0.1:{port}").tunnel("far.invalid", 443) as end:
            assert end.recv(100) == b"through"
        assert heard[0].startswith(b"CONNECT far.invalid:443 HTTP/1.1\r\nHost: far.invalid:443\r\n")
        assert b"Proxy-Authorization: Basic dTpw\r\n" in heard[0]

    @pytest.mark.parametrize(
        ("answer", "words"),
        [(b"HTTP/1.1 407 Login\r\n\r\n", "refuses: 407 Login"), (b"", "no answer"), (b"x" * 70000, "no answer")],
    )
    def test_one_that_does_not(self, answer: bytes, words: str) -> None:
        """What it says instead is told; a login is not."""

        def say(end: socket.socket) -> None:
            read_head(end)
            end.sendall(answer)

        with server(say) as port, pytest.raises(Unreachable, match=words) as caught:
            dialler(proxy=f"http://u:pass@127.0.0.1:{port}").tunnel("far.invalid", 443)
        assert "pass" not in str(caught.value)

    def test_one_that_dawdles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its whole answer has to come in time, not only each letter of it."""
        monkeypatch.setattr(dial, "_ANSWER_S", 0.3)

        def dawdle(end: socket.socket) -> None:
            while True:
                end.sendall(b"x")
                time.sleep(0.02)

        with server(dawdle) as port, pytest.raises(Unreachable, match="no answer"):
            dialler(proxy=f"http://127.0.0.1:{port}").tunnel("far.invalid", 443)

    @pytest.mark.parametrize("url", ["socks5://127.0.0.1:1", "https://127.0.0.1:1", "http://127.0.0.1:1"])
    def test_those_that_cannot_be_used(self, url: str) -> None:
        """Only http is spoken to a proxy; one that is not there is named."""
        with pytest.raises(Unreachable, match=r"the proxy 127\.0\.0\.1"):
            dialler(proxy=url).tunnel("far.invalid", 443)

    def test_one_that_is_misspelt(self) -> None:
        """What its variable holds is said to be no proxy, without its words."""

        def route(*_: object) -> str:
            raise ValueError("not an http or https proxy")

        with pytest.raises(Unreachable, match="own proxy cannot be used"):
            Dialler(HostRules(), route).tunnel("far.invalid", 443)

    def test_patterns_count_before_it(self) -> None:
        """A host that is not admitted is not asked of another proxy either."""
        with pytest.raises(Refused, match="not among"):
            dialler("good.test", proxy="http://127.0.0.1:1").tunnel("evil.test", 443)
