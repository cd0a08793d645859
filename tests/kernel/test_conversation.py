"""What a step says to its proxy and what comes back, over real sockets."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from builder.kernel import conversation
from tests.certificates import new_authority
from tests.kernel.processes import until
from tests.kernel.served import answering, proxied, read_head, rest_of, server


def test_a_request_goes_through() -> None:
    """The server hears its own path and host, the step the server's answer; host and path are noted, no query."""
    heard: list[bytes] = []

    def answer(end: socket.socket) -> None:
        heard.append(read_head(end))
        end.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nKeep-Alive: x\r\n\r\nhello")

    with server(answer) as port, proxied("127.0.0.1") as step:
        got = step.get(f"http://127.0.0.1:{port}/a?token=secret", "X-Asked: y")
        until(lambda: bool(step.proxy.contacts().kept))
        (contact,) = step.proxy.contacts().kept
    assert got == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    assert heard[0].startswith(b"GET /a?token=secret HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-Asked: y\r\n" % port)
    assert (contact.method, contact.host, contact.port, contact.path) == ("GET", "127.0.0.1", port, "/a")
    assert (contact.refusal, contact.failure, contact.received_bytes) == ("", "", 58)
    assert contact.sent_bytes == len(heard[0])


def test_several_requests_on_one_connection() -> None:
    """A client that keeps its connection, and one that asks before it is answered, is served one after the other."""
    with server(answering(b"one")) as one, server(answering(b"two")) as two, proxied("127.0.0.1") as step:
        lines = [f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n" for port in (one, two, one)]
        end = step.connect()
        end.sendall("".join(lines).encode())
        end.shutdown(socket.SHUT_WR)
        got = rest_of(end)
    assert [got.count(word) for word in (b"one", b"two", b"keep-alive")] == [2, 1, 3]
    assert got.index(b"one") < got.index(b"two") < got.rindex(b"one")
    assert {contact.port: contact.count for contact in step.proxy.contacts().kept} == {one: 2, two: 1}


def test_a_second_request_is_judged_too() -> None:
    """Nothing rides along behind a request that was allowed."""
    with server(answering(b"fine")) as port, proxied(f"127.0.0.1:{port}") as step:
        first = f"POST http://127.0.0.1:{port}/ HTTP/1.1\r\nContent-Length: 2\r\n\r\nab"
        got = step.say(first + "GET http://other.test/ HTTP/1.1\r\n\r\n")
        assert b"fine" in got and got.count(b"HTTP/1.1 403 Forbidden") == 1
        assert [contact.host for contact in step.told] == ["other.test"]


@pytest.mark.parametrize("expects", ["", "Expect: 100-continue\r\n"])
@pytest.mark.parametrize(
    ("field", "body"),
    [("Content-Length: 10", b"0123456789"), ("Transfer-Encoding: chunked", b"5\r\n01234\r\n0\r\n\r\n")],
)
def test_bodies_go_up(expects: str, field: str, body: bytes) -> None:
    """A body arrives as it was sent, by its length or in chunks, also where the client waits for leave."""
    heard: list[bytes] = []

    def answer(end: socket.socket) -> None:
        head = read_head(end)
        data = b""
        while len(data) < len(body):
            data += end.recv(100)
        heard.extend((head, data))
        end.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    with server(answer) as port, proxied("127.0.0.1") as step:
        end = step.connect()
        end.sendall(f"PUT http://127.0.0.1:{port}/ HTTP/1.1\r\n{expects}{field}\r\nConnection: close\r\n\r\n".encode())
        if expects:
            assert read_head(end) == b"HTTP/1.1 100 Continue\r\n\r\n"
        end.sendall(body)
        assert rest_of(end).startswith(b"HTTP/1.1 201 Created\r\n")
    assert heard[1] == body and b"Expect" not in heard[0] and field.encode() in heard[0]


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok and more that nobody asked for", b"ok"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b""),
    ],
)
def test_answers_come_down(answer: bytes, body: bytes) -> None:
    """An answer ends where it says, or with its connection; interim answers and what is too much are left out."""

    def say(end: socket.socket) -> None:
        read_head(end)
        end.sendall(answer)

    with server(say) as port, proxied("127.0.0.1") as step:
        got = step.get(f"http://127.0.0.1:{port}/")
    assert got.partition(b"\r\n\r\n")[2] == body and got.count(b"HTTP/1.") == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", b"hangs up without an answer"),
        (b"HTTP/1.1 200", b"ends in its head"),
        (b"hello\r\n\r\n", b"does not answer in HTTP/1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"doubtful"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 40, b"does not come to its answer"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nx", b"nobody asked for"),
        (b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", b"CR LF"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (80 << 10), b"too long"),
    ],
)
def test_answers_that_are_none(answer: bytes, words: bytes) -> None:
    """A server that answers nonsense is told of as such, and it is noted why."""

    def say(end: socket.socket) -> None:
        read_head(end)
        end.sendall(answer)

    with server(say) as port, proxied("127.0.0.1") as step:
        got = step.get(f"http://127.0.0.1:{port}/")
        assert got.startswith(b"HTTP/1.1 502 Bad Gateway\r\n") and words in got
        until(lambda: bool(step.proxy.contacts().kept))
        assert words.decode() in step.proxy.contacts().kept[0].failure


def test_an_answer_that_breaks_off() -> None:
    """A body that ends too early stays incomplete: nothing is made up, the connection ends."""

    def say(end: socket.socket) -> None:
        read_head(end)
        end.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

    with server(say) as port, proxied("127.0.0.1") as step:
        assert step.get(f"http://127.0.0.1:{port}/").endswith(b"\r\n\r\nabc")
        until(lambda: bool(step.proxy.contacts().kept))
        assert "ends too early" in step.proxy.contacts().kept[0].failure


def test_an_answer_before_the_whole_body() -> None:
    """A server that refuses a large body and hangs up is heard all the same."""

    def say(end: socket.socket) -> None:
        read_head(end)
        end.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        end.shutdown(socket.SHUT_WR)
        while end.recv(1 << 16):
            pass

    with server(say) as port, proxied("127.0.0.1") as step:
        head = f"PUT http://127.0.0.1:{port}/ HTTP/1.1\r\nContent-Length: 4000000\r\nConnection: close\r\n\r\n"
        assert step.say(head.encode() + b"x" * 4_000_000).startswith(b"HTTP/1.1 413 ")


def test_a_tunnel() -> None:
    """CONNECT joins both sides, nothing that came with the request is lost, and bytes are counted."""

    def echo(end: socket.socket) -> None:
        while data := end.recv(100):
            end.sendall(data.upper())

    with server(echo) as port, proxied("127.0.0.1") as step:
        end = step.connect()
        end.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\nearly ".encode())
        assert read_head(end) == b"HTTP/1.1 200 Connection established\r\n\r\n"
        end.sendall(b"late")
        end.shutdown(socket.SHUT_WR)
        assert rest_of(end) == b"EARLY LATE"
        until(lambda: bool(step.proxy.contacts().kept))
        (contact,) = step.proxy.contacts().kept
    assert (contact.method, contact.port, contact.path) == ("CONNECT", port, "")
    assert (contact.sent_bytes, contact.received_bytes) == (10, 10)


def test_tls_through_a_tunnel(tmp_path: Path) -> None:
    """The step and the server speak TLS with each other: the proxy sees none of it, and has no certificate."""
    authority = new_authority(tmp_path)
    certificate, key = authority.server()
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(certificate, key)

    def greet(end: socket.socket) -> None:
        with inside.wrap_socket(end, server_side=True) as safe:
            safe.sendall(b"hello " + safe.recv(100))

    with server(greet) as port, proxied("localhost") as step:
        end = step.connect()
        end.sendall(f"CONNECT localhost:{port} HTTP/1.1\r\n\r\n".encode())
        read_head(end)
        context = ssl.create_default_context(cafile=str(authority.certificate))
        with context.wrap_socket(end, server_hostname="localhost") as safe:
            safe.sendall(b"you")
            assert safe.recv(100) == b"hello you"


@pytest.mark.parametrize("method", ["GET http://{}/x", "CONNECT {}"])
def test_who_is_refused_is_told_why(method: str) -> None:
    """A host that is not named gets 403 and a line of text, is noted, and told once however often it is asked for."""
    with proxied("good.test") as step:
        for _ in range(2):
            got = step.say(method.format("evil.test:80") + " HTTP/1.1\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 403 Forbidden\r\n") and b"evil.test:80: it is not among" in got
        (contact,) = step.proxy.contacts().kept
        assert contact.count == 2 and "--allow-host" in contact.refusal
        assert [told.host for told in step.told] == ["evil.test"]


def test_who_cannot_be_reached() -> None:
    """A name that leads nowhere, and a port where nobody is, are 502; neither is told as a refusal."""
    with socket.socket() as bound, proxied() as step, proxied("127.0.0.1") as other:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        assert b"502 Bad Gateway" in step.get("http://nowhere.invalid/")
        assert b"refused" in other.get(f"http://127.0.0.1:{bound.getsockname()[1]}/")
        assert not step.told and not other.told
        assert step.proxy.contacts().kept[0].failure


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET https://x/ HTTP/1.1\r\n\r\n", 501),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\nX: " + b"x" * (70 << 10), 400),
        (b"POST http://127.0.0.1:1/ HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.0\n\n", 400),
        (b"GET http://x/ HTTP/1.1\r\nA: b\n\r\nGET http://y/ HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_what_is_no_request(data: bytes, status: int) -> None:
    """It is answered with its status, and the connection ends."""
    with proxied("127.0.0.1") as step:
        assert step.say(data).startswith(b"HTTP/1.1 %d " % status)


def test_a_refusal_names_the_host_as_people_write_it() -> None:
    """IPv6 is in brackets, so that its port can be told from it."""
    with proxied() as step:
        assert b"\r\n\r\npybuild: [::1]:7: ::1 is this machine's own" in step.get("http://[0::1]:7/")


def test_blank_lines_before_a_request() -> None:
    """Some clients send one after a body; they are skipped."""
    with server(answering(b"fine")) as port, proxied("127.0.0.1") as step:
        line = f"\r\n\r\nGET http://127.0.0.1:{port}/ HTTP/1.1\r\nConnection: close\r\n\r\n"
        assert step.say(line).endswith(b"fine")


def test_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection on which no head comes in time is closed."""
    monkeypatch.setattr(conversation, "_HEAD_S", 0.2)
    with proxied() as step:
        end = step.connect()
        end.sendall(b"GET http://x/ HTTP/1.1\r\nX:")
        assert rest_of(end) == b""


def test_the_end_of_the_step_ends_it_all() -> None:
    """Tunnels, requests under way and who waits are closed, and their contacts are there."""
    hangs = threading.Event()

    def hang(end: socket.socket) -> None:
        read_head(end)
        hangs.wait(10)

    with server(hang) as port, proxied("127.0.0.1") as step:
        tunnel, request, idle = (step.connect() for _ in range(3))
        tunnel.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        read_head(tunnel)
        request.sendall(f"GET http://127.0.0.1:{port}/slow HTTP/1.1\r\n\r\n".encode())
        until(lambda: len(step.proxy._open) >= 6)
        step.proxy.__exit__(None, None, None)
        assert rest_of(tunnel) == b"" and rest_of(idle) == b""
        assert {contact.method for contact in step.proxy.contacts().kept} == {"CONNECT", "GET"}
        hangs.set()
