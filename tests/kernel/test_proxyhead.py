"""Heads of HTTP messages as the proxy reads them: what is understood, what is refused, where bodies end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.kernel.proxyhead import (
    BadMessage,
    Body,
    ChunkedBody,
    body_of_request,
    body_of_response,
    read_request,
    read_response,
)


def head(line: str, *fields: str) -> bytes:
    return "\r\n".join([line, *fields, "", ""]).encode("latin-1")


def test_a_request() -> None:
    """Its host, port and path are the URL's, whatever Host says; what is of one hop alone stays here."""
    fields = ("Host: other.test", "X-A: 1", "Proxy-Connection: keep-alive", "Connection: x-a, te", "X-B:  2 ", "TE: x")
    request = read_request(head("GET http://u:p@Example.TEST:8080/a/b?token=1#f HTTP/1.1", *fields))
    assert (request.method, request.host, request.port) == ("GET", "example.test", 8080)
    assert (request.path, request.target, request.keeps) == ("/a/b", b"/a/b?token=1", True)
    wanted = head("GET /a/b?token=1 HTTP/1.1", "Host: example.test:8080", "X-B: 2", "Connection: close")
    assert request.encoded(whole_url=False) == wanted
    whole = request.encoded(whole_url=True, more=((b"Proxy-Authorization", b"Basic x"),))
    assert whole.startswith(b"GET http://example.test:8080/a/b?token=1 HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic x\r\n" in whole


def test_a_tunnel() -> None:
    """CONNECT names a host and a port, IPv6 in brackets."""
    request = read_request(head("CONNECT [::1]:443 HTTP/1.1", "Host: x"))
    assert (request.method, request.host, request.port, request.path) == ("CONNECT", "::1", 443, "")


@pytest.mark.parametrize(
    ("fields", "keeps"),
    [
        ((), True),
        (("Connection: close",), False),
        (("Proxy-Connection: Close",), False),
        (("Connection: x, CLOSE",), False),
    ],
)
def test_who_asks_again(fields: tuple[str, ...], keeps: bool) -> None:
    """A client of HTTP/1.1 does unless it says no, one of HTTP/1.0 does not."""
    assert read_request(head("GET http://x/ HTTP/1.1", *fields)).keeps is keeps
    assert read_request(head("GET http://x/ HTTP/1.0", *fields)).keeps is False


@pytest.mark.parametrize(
    "data",
    [
        head("GET / HTTP/1.1"),
        head("GET /x HTTP/1.1", "Host: x"),
        head("GET https://x/ HTTP/1.1"),
        head("GET ftp://x/ HTTP/1.1"),
        head("GET http://x/ HTTP/2.0"),
        head("GET http://x/ a HTTP/1.1"),
        head("GET  http://x/ HTTP/1.1"),
        head("G\xe4T http://x/ HTTP/1.1"),
        head("GET http:///a HTTP/1.1"),
        head("GET http://x:0/ HTTP/1.1"),
        head("GET http://x:99999/ HTTP/1.1"),
        head("GET http://x:000080000/ HTTP/1.1"),
        head("GET http://x y/ HTTP/1.1"),
        head("GET http://x%00/ HTTP/1.1"),
        head("GET http://[::1/ HTTP/1.1"),
        head("CONNECT x HTTP/1.1"),
        head("CONNECT x: HTTP/1.1"),
        head("CONNECT http://x:443 HTTP/1.1"),
        head("connect http://x/ HTTP/1.1"),
        head("GET http://a..b/ HTTP/1.1"),
        head("GET http://.a/ HTTP/1.1"),
        head("GET http://a../ HTTP/1.1"),
        head("GET http://[abc]/ HTTP/1.1"),
        head("GET http://[1.2.3.4]/ HTTP/1.1"),
        head("GET http://[::1%25lo]/ HTTP/1.1"),
        head("GET http://x/ HTTP/1.1", "A: \x0b"),
        head("GET http://x/ HTTP/1.1", "A : 1"),
        head("GET http://x/ HTTP/1.1", "A: 1", " folded"),
        head("GET http://x/ HTTP/1.1", "no colon"),
        head("GET http://x/ HTTP/1.1", "A: 1\nB: 2"),
        head("GET http://x/ HTTP/1.1", "A: 1\rB: 2"),
        head("GET http://x/ HTTP/1.1", "A: \0"),
        b"\r\n\r\n",
    ],
)
def test_requests_that_are_refused(data: bytes) -> None:
    """What two readers could read in two ways, and what is no request to a proxy."""
    with pytest.raises(BadMessage):
        read_request(data)


@pytest.mark.parametrize(
    "fields",
    [
        ("Content-Length: 1", "Content-Length: 2"),
        ("Content-Length: +1",),
        ("Content-Length: -1",),
        ("Content-Length: 1e3",),
        ("Content-Length: 1", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: chunked, chunked",),
        ("Transfer-Encoding: identity",),
        ("Content-Length: 99999999999999999999",),
        ("Content-Length:",),
        ("Content-Length: ,5",),
        ("Content-Length: 5", "Content-Length:"),
        ("Transfer-Encoding:",),
        ("Transfer-Encoding: ,chunked",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding:"),
    ],
)
def test_bodies_whose_end_is_doubtful(fields: tuple[str, ...]) -> None:
    """Two lengths, a length and chunks, other codings: nobody is asked to guess."""
    with pytest.raises(BadMessage):
        body_of_request(read_request(head("POST http://x/ HTTP/1.1", *fields)))


def test_chunks_of_an_old_client() -> None:
    """HTTP/1.0 knows none: who reads them otherwise reads another request."""
    with pytest.raises(BadMessage):
        body_of_request(read_request(head("POST http://x/ HTTP/1.0", "Transfer-Encoding: chunked")))


@pytest.mark.parametrize(
    ("fields", "framing"),
    [
        (("Content-Length: 5", "Connection: content-length"), "Content-Length: 5"),
        (("Content-Length: 5, 5", "content-LENGTH:5"), "Content-Length: 5"),
        (("Content-Length: 005",), "Content-Length: 5"),
        (("Content-Length: 0",), "Content-Length: 0"),
        (("transfer-encoding:\tCHUNKED", "Connection: Transfer-Encoding, Host"), "Transfer-Encoding: chunked"),
    ],
)
def test_a_body_is_announced_anew(fields: tuple[str, ...], framing: str) -> None:
    """Where a body ends is passed on in one spelling, and Connection cannot take it away: nothing rides behind it."""
    request = read_request(head("POST http://x/ HTTP/1.1", *fields))
    assert request.encoded(whole_url=False) == head("POST / HTTP/1.1", "Host: x", framing, "Connection: close")


def test_where_bodies_end() -> None:
    """By length, by chunks, with the connection, or at once."""
    post = "POST http://x/ HTTP/1.1"
    assert body_of_request(read_request(head(post))).ended
    body = body_of_request(read_request(head(post, "Content-Length: 5")))
    assert body.take(b"abc") == 3 and not body.ended and body.take(b"defgh") == 2 and body.ended
    ok = read_response(head("HTTP/1.1 200 OK"))
    assert body_of_response(ok, "GET").ends_with_connection and body_of_response(ok, "HEAD").ended
    for line in ("HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified"):
        assert body_of_response(read_response(head(line, "Content-Length: 5")), "GET").ended


CHUNKS = b"5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n"


@given(st.lists(st.integers(1, 7), min_size=1, max_size=60))
def test_chunks_however_they_are_cut(cuts: list[int]) -> None:
    """A body in chunks ends where it ends, in whatever pieces it comes, and what follows is not its."""
    body, data, at, taken = ChunkedBody(), CHUNKS + b"GET next", 0, 0
    while not body.ended:
        step = cuts[at % len(cuts)]
        count = body.take(data[taken : taken + step])
        assert count
        taken += count
        at += 1
    assert taken == len(CHUNKS)


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b"5\nhello",
        b"-1\r\n",
        b"\r\n",
        b"1" * 20 + b"\r\n",
        b"a" * 9000,
        b"5;a\rb\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"0\r\nno field\r\n",
        b"0\r\nContent-Length: 5\r\n",
    ],
)
def test_chunks_that_are_none(data: bytes) -> None:
    """What is no size, no end of a chunk, or no trailer, and too long a line, is refused."""
    with pytest.raises(BadMessage):
        ChunkedBody().take(data)


def test_answers() -> None:
    """A status line and fields; what is none is refused."""
    answer = read_response(head("HTTP/1.0 404 Not  Found", "Connection: keep-alive", "X: y"))
    assert answer.status == 404 and answer.encoded(b"close") == head(
        "HTTP/1.0 404 Not  Found", "X: y", "Connection: close"
    )
    for line in ("HTTP/2 200", "ICY 200 OK", "HTTP/1.1 20 OK", "HTTP/1.1 999999 OK", "hello"):
        with pytest.raises(BadMessage):
            read_response(head(line))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but BadMessage comes of any bytes."""
    for read in (read_request, read_response):
        try:
            read(data + b"\r\n\r\n")
        except BadMessage as error:
            assert 400 <= error.status < 600
    try:
        ChunkedBody().take(data)
    except BadMessage:
        pass
    assert Body(None).take(data) == len(data)
