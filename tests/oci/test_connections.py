"""The connections behind Http: proxies, and a TLS context for each server."""

from __future__ import annotations

import base64
import socket
import socketserver
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.client import Client
from builder.oci.connections import Headers, Session, Way
from builder.oci.hosts import Origin, origin
from builder.oci.keyring import OneLogin
from builder.oci.tls import unverified_context
from builder.oci.transport import Http
from builder.values.access import Access, Credential, Trust
from builder.values.reference import Reference
from tests.certificates import Authority
from tests.hostile.server import Answer, Call, running_server
from tests.oci.rogue import QUICK, Rogue, body, running_rogue


@pytest.fixture
def rogue() -> Iterator[Rogue]:
    """A server."""
    with running_rogue() as server:
        yield server


@contextmanager
def running_proxy(target: str, tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[str]]]:
    """A proxy for https (CONNECT), by TLS where it is given a context, that leads every host to `target`; gives its
    URL and what it was asked.
    """
    heads: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = self.rfile.readline()
                if not line:
                    return
                head += line
            heads.append(head.decode())
            host, _, port = target.partition(":")
            with socket.create_connection((host, int(port))) as upstream:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_pump, args=(upstream, self.connection), daemon=True)
                back.start()
                _pump(self.connection, upstream)
                back.join(5)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}", heads
        server.shutdown()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_https_goes_through_a_proxy_with_the_registrys_own_trust(authority: Authority, tmp_path: Path) -> None:
    """The proxy sees a host's name and nothing else; whom we believe behind it is the registry's affair."""
    folder = authority.trusted_in(tmp_path)
    with running_rogue(tls=authority.server_context()) as server, running_proxy(server.address) as (proxy, heads):
        server.routes["/x"] = body(b"well")
        port = server.address.rpartition(":")[2]
        url = f"https://reg.invalid:{port}/x"
        access = Access(proxies={"HTTPS_PROXY": proxy}, trust=Trust(cert_dir=folder))
        # The certificate is for 127.0.0.1, so the name does not fit, and that is noticed behind the proxy too.
        with pytest.raises(ImageError, match="is not trusted: Hostname mismatch"):
            Http(access, QUICK, origin(url)).get(url, {}, {"Authorization": "Bearer x"})
        named = Access(proxies=access.proxies, trust=Trust(insecure=(f"reg.invalid:{port}",)))
        with Http(named, QUICK, origin(url)).get(url, {}, {"Authorization": "Bearer x"}) as response:
            assert response.content == b"well"
        assert server.requests == [("/x", "Bearer x")]
        assert all(head.startswith(f"CONNECT reg.invalid:{port} HTTP/1") for head in heads)
        assert not any("Bearer" in head for head in heads)


def test_what_no_proxy_names_is_reached_directly(authority: Authority) -> None:
    """And so is loopback, always."""
    with running_rogue(tls=authority.server_context()) as server, running_proxy("127.0.0.1:1") as (proxy, heads):
        server.routes["/x"] = body(b"well")
        access = Access(proxies={"https_proxy": proxy}, trust=Trust(roots_file=authority.certificate))
        Http(access, QUICK).get(f"{server.url}/x", {}, {}).close()
        assert heads == []


def test_each_server_has_its_own_context(authority: Authority) -> None:
    """What is believed of one is not believed of the next, in one session."""
    asked: list[Origin] = []
    believing = ssl.create_default_context(cafile=str(authority.certificate))

    with running_rogue(tls=authority.server_context()) as one, running_rogue(tls=authority.server_context()) as two:
        one.routes["/x"] = two.routes["/x"] = body(b"")

        def context_of(server: Origin) -> ssl.SSLContext:
            asked.append(server)
            return believing if server == origin(one.url) else ssl.create_default_context()

        session = Session(context_of)
        assert session.request("GET", f"{one.url}/x", {}, None, Way(2, 2)).status_code == 200
        with pytest.raises(OSError, match="certificate"):
            session.request("GET", f"{two.url}/x", {}, None, Way(2, 2))
        session.close()
    assert set(asked) == {origin(one.url), origin(two.url)}


def test_an_insecure_registry_gives_no_warnings(authority: Authority) -> None:
    """It was named by the user, who knows."""
    with running_rogue(tls=authority.server_context()) as server, warnings.catch_warnings():
        server.routes["/x"] = body(b"")
        warnings.simplefilter("default")
        warnings.simplefilter("error", ResourceWarning)
        http = Http(Access(trust=Trust(insecure=(server.address,))), QUICK)
        with warnings.catch_warnings(record=True) as seen:
            http.get(f"{server.url}/x", {}, {}).close()
        assert [str(warning.message) for warning in seen if "verif" in str(warning.message)] == []


@contextmanager
def counting_server() -> Iterator[tuple[str, list[int]]]:
    """A server that keeps connections open (HTTP/1.1) and counts them; /refused asks for a login."""
    connections: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            connections.append(1)

        def do_GET(self) -> None:
            allowed = self.path != "/v2/app/manifests/1" or "Authorization" in self.headers
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Length", "2")
            self.send_header("WWW-Authenticate", 'Basic realm="r"')
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"{}")

        do_HEAD = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}", connections
    server.shutdown()
    server.server_close()


def test_a_connection_is_used_again() -> None:
    """After a refusal, after a HEAD, and after a body: a push asks a hundred questions and makes one handshake."""
    with counting_server() as (address, connections):
        access = Access(keyring=OneLogin(Credential("me", "secret")))
        client = Client(Reference.parse(f"{address}/app"), access, QUICK)
        url = client.url("manifests", "1")  # asks by a connection of its own whether TLS is spoken
        connections.clear()
        for method in ("GET", "HEAD", "GET", "HEAD"):
            with client.request(method, url, {}) as response:
                assert response.content in (b"{}", b"")
        assert len(connections) == 1


def _letters(call: Call) -> None:
    call.raw(b"HTTP/1.1 200 OK\r\nX: ")
    while call.raw(b"a"):
        time.sleep(0.02)


def _continue(call: Call) -> None:
    while call.raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 10):
        time.sleep(0.001)


@pytest.mark.parametrize("answer", [_letters, _continue])
def test_the_head_of_an_answer_has_its_time(answer: Answer) -> None:
    """Who sends a letter now and then, or `100 Continue` for ever, keeps nobody: the whole head has the time of one."""
    patience = replace(QUICK, read_s=0.3, attempts=1)
    with running_server() as server:
        server.routes["/*"] = answer
        start = time.monotonic()
        with pytest.raises(ImageError, match="does not answer in time"):
            Http(Access(), patience).get(f"{server.url}/x", {}, {})
    assert time.monotonic() - start < 10


def test_https_through_a_proxy_that_speaks_tls(authority: Authority) -> None:
    """TLS to the server lies in the TLS to the proxy, which is checked as well."""
    with (
        running_rogue(tls=authority.server_context()) as server,
        running_proxy(server.address, authority.server_context()) as (proxy, heads),
    ):
        server.routes["/x"] = body(b"well" * 100_000)
        url = f"https://reg.invalid:{server.address.rpartition(':')[2]}/x"
        trust = Trust(roots_file=authority.certificate, insecure=(origin_of(url),))
        access = Access(proxies={"HTTPS_PROXY": proxy.replace("//", "//me:p%40ss@")}, trust=trust)
        with Http(access, QUICK, origin(url)).get(url, {}, {}) as response:
            assert response.content == b"well" * 100_000
        assert [base64.b64encode(b"me:p@ss").decode() in head for head in heads] == [True]
        distrusted = Access(proxies={"HTTPS_PROXY": proxy}, trust=Trust(insecure=(origin_of(url),)))
        with pytest.raises(ImageError, match=r"the proxy for .* does not answer"):
            Http(distrusted, QUICK, origin(url)).get(url, {}, {})


def origin_of(url: str) -> str:
    """HOST:PORT of a URL."""
    return url.split("/")[2]


def test_plain_http_through_a_proxy() -> None:
    """The proxy gets the whole URL and its login; the login for the server stays with the server's request."""
    with running_rogue() as proxy:
        proxy.routes["http://reg.invalid/x y"] = proxy.routes["http://reg.invalid/x%20y"] = body(b"well")
        access = Access(proxies={"HTTP_PROXY": f"http://me:secret@{proxy.address}"})
        with Http(access, QUICK).get("http://reg.invalid/x y", {}, {"Authorization": "Bearer x"}) as response:
            assert response.content == b"well"
        assert proxy.requests == [("http://reg.invalid/x%20y", "Bearer x")]


def test_a_url_as_it_is_sent(rogue: Rogue) -> None:
    """What no request may hold is quoted, what is quoted stays so, the fragment stays here, a login is a header."""
    rogue.routes["/a%20b/%2F/%C3%A9"] = body(b"")
    url = f"http://me:p%40ss@{rogue.address}/a b/%2F/\u00e9?q=1 2&%20#part"
    Http(Access(), QUICK).get(url, {}, {}).close()
    assert rogue.requests == [("/a%20b/%2F/%C3%A9?q=1%202&%20", f"Basic {base64.b64encode(b'me:p@ss').decode()}")]


def test_a_header_that_cannot_be_sent_is_not_shown(rogue: Rogue) -> None:
    """It may be a token."""
    with pytest.raises(ImageError) as caught:
        Http(Access(), QUICK).get(f"{rogue.url}/x", {}, {"Authorization": "Bearer secret\r\nX: y"})
    assert "secret" not in str(caught.value) and "the header Authorization cannot be sent" in str(caught.value)


def test_headers_that_come_twice() -> None:
    """Their values are one list (RFC 9110, 5.3), by the name in any case."""
    headers = Headers([("WWW-Authenticate", "Basic"), ("www-authenticate", "Bearer"), ("X", "1")])
    assert headers["WWW-AUTHENTICATE"] == "Basic, Bearer" and dict(headers) == {
        "www-authenticate": "Basic, Bearer",
        "x": "1",
    }


def test_a_connection_that_was_closed_meanwhile_is_not_used() -> None:
    """A server that lets no connection rest gets a new one, and no request is lost."""

    def answer(call: Call) -> None:
        call.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")  # and hangs up, though it did not say so

    with running_server() as server:
        server.routes["/*"] = answer
        http = Http(Access(), replace(QUICK, attempts=1))
        for _ in range(3):
            with http.get(f"{server.url}/x", {}, {}) as response:
                assert response.content == b"ok"
            time.sleep(0.05)


def test_a_body_that_was_not_read_ends_the_connection() -> None:
    """What is left of it is never taken for the next answer."""
    with counting_server() as (address, connections):
        session = Session(lambda _: ssl.create_default_context())
        for count in (1, 2):
            answer = session.request("GET", f"http://{address}/x", {}, None, Way(2, 2))
            assert answer.read1(1) == b"{"
            answer.close()
            assert len(connections) == count
        session.close()


_WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def _raw(data: bytes) -> Answer:
    def answer(call: Call) -> None:
        call.raw(data)

    return answer


def test_what_comes_before_an_answer_is_none() -> None:
    """A server may say that it is at work (102), or what will be needed (103), before it answers (RFC 9110, 15.2)."""
    with running_server() as server:
        early = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        server.routes["/*"] = _raw(early + _WELL)
        with Http(Access(), QUICK).get(f"{server.url}/x", {}, {}) as response:
            assert (response.status_code, response.content) == (200, b"ok")


def test_an_encoding_that_nobody_asked_for_is_refused() -> None:
    """The bytes on the way would be taken for the body's."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 2\r\n\r\n"
    with running_server() as server:
        server.routes["/*"] = _raw(head + b"2\r\nok\r\n0\r\n\r\n")
        with pytest.raises(ImageError, match="a Transfer-Encoding that nobody asked for"):
            Http(Access(), replace(QUICK, attempts=1)).get(f"{server.url}/x", {}, {})


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.1 407 No\r\n\r\n", r"does not let us through \(407\)"),
        (b"HTTP/1.1 302 No\r\nLocation: http://127.0.0.1/\r\n\r\n", r"does not let us through \(302\)"),
        (b"nonsense\r\n\r\n", "the proxy for .* does not answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500, "the proxy for .* does not answer"),
    ],
)
def test_a_proxy_that_does_not_lead_on_is_named(said: bytes, words: str) -> None:
    """Whatever it answers instead is its fault and not the server's, and nothing that it sends is followed."""
    with running_server() as proxy:
        proxy.routes["*"] = _raw(said)
        access = Access(proxies={"HTTPS_PROXY": proxy.url.replace("//", "//me:p@ss\\@")})
        with pytest.raises(ImageError, match=words) as caught:
            Http(access, replace(QUICK, attempts=1)).get("https://[2001:db8::1]/x", {}, {})
        assert "ss\\" not in str(caught.value)
        call = proxy.calls[0]
        assert (call.method, call.path, call.headers["host"]) == ("CONNECT", *["[2001:db8::1]:443"] * 2)
        login = base64.b64encode(b"me:p@ss\\").decode()
        assert call.headers["proxy-authorization"] == f"Basic {login}"


@contextmanager
def tls_server(authority: Authority, said: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[int]]]:
    """A server (HOST:PORT) that says something to a head, whatever it asks; counts its connections."""
    connections: list[int] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            connections.append(1)
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            with suppress(OSError):
                said(self.connection)
                self.rfile.readline()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        server.socket = authority.server_context().wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", connections
        server.shutdown()


def test_what_tls_holds_is_news(authority: Authority) -> None:
    """Bytes beyond an answer may lie in TLS, where no socket shows them: that connection is not used again."""
    more = _WELL.replace(b"2", b"4", 1) + bytes(12_000)
    with tls_server(authority, lambda sock: sock.sendall(_WELL + more)) as (address, connections):  # one record
        session = Session(lambda _: unverified_context())
        for count in (1, 2):
            answer = session.request("GET", f"https://{address}/", {}, None, Way(2, 2))
            assert (answer.content, len(connections)) == (b"ok", count)
        session.close()


def test_the_handshake_behind_a_proxys_tls_has_its_time(authority: Authority) -> None:
    """A server that sends a byte of it now and then keeps nobody."""

    def slow(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for byte in b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + bytes(200):
            sock.sendall(bytes([byte]))
            time.sleep(0.05)

    with tls_server(authority, slow) as (address, _):
        session = Session(lambda _: unverified_context())
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            session.request("GET", "https://reg.invalid/", {}, None, Way(0.3, 0.3, f"https://{address}"))
        assert time.monotonic() - start < 5
