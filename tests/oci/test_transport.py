"""HTTP under our rules."""

from __future__ import annotations

import email.utils
import io
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.body import Body, Repeat
from builder.oci.transport import Http, limited_body, pieces, shown
from builder.values.access import Access
from tests.oci.rogue import (
    QUICK,
    Answer,
    Exchange,
    Rogue,
    body,
    in_turn,
    redirect,
    running_rogue,
    silent,
    status,
    trickle,
)
from tests.registry import free_port


def test_nothing_of_the_environment_is_used(rogue: Rogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a proxy variable nor a .netrc changes a request."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    rogue.routes["/x"] = body(b"well")
    with Http(Access(), QUICK).get(f"{rogue.url}/x", {}, {}) as response:
        assert limited_body(response, 10, time.monotonic() + 5) == b"well"
    assert rogue.requests == [("/x", "")]


def test_no_cookie_is_kept(rogue: Rogue) -> None:
    """What a server sets is not sent back."""
    seen: list[str | None] = []

    def answer(exchange: Exchange) -> None:
        seen.append(exchange.headers.get("Cookie"))
        exchange.send(200, b"", Set_Cookie="a=b; Path=/")

    rogue.routes["/x"] = answer
    client = Http(Access(), QUICK)
    for _ in range(2):
        client.get(f"{rogue.url}/x", {}, {}).close()
    assert seen == [None, None]


def test_bodies_are_not_decoded(rogue: Rogue) -> None:
    """Digests are of the bytes as they are sent, whatever Content-Encoding says."""
    rogue.routes["/x"] = lambda exchange: exchange.send(200, b"\x1f\x8bnot gzip", Content_Encoding="gzip")
    with Http(Access(), QUICK).get(f"{rogue.url}/x", {}, {}) as response:
        assert b"".join(pieces(response, time.monotonic() + 5)) == b"\x1f\x8bnot gzip"


def test_a_secret_stays_with_its_origin(rogue: Rogue) -> None:
    """Another port is another party, even on the same host; what it sends back home goes without the secret, so that it
    cannot choose what our login asks for there."""
    with running_rogue() as other:
        rogue.routes["/a"] = redirect(f"{other.url}/b")
        other.routes["/b"] = redirect(f"{rogue.url}/c")
        rogue.routes["/c"] = body(b"")
        Http(Access(), QUICK).get(f"{rogue.url}/a", {}, {"Authorization": "Bearer x"}).close()
        assert other.requests == [("/b", "")]
        assert rogue.requests == [("/a", "Bearer x"), ("/c", "")]


def test_a_secret_follows_a_redirect_at_home(rogue: Rogue) -> None:
    """Within one origin nothing is held back."""
    rogue.routes["/a"] = redirect("/c")
    rogue.routes["/c"] = body(b"")
    Http(Access(), QUICK).get(f"{rogue.url}/a", {}, {"Authorization": "Bearer x"}).close()
    assert rogue.requests == [("/a", "Bearer x"), ("/c", "Bearer x")]


@pytest.mark.parametrize("place", ["http://{evil}\\@{home}/x", "http://{home}\\@{evil}/x"])
def test_a_redirect_that_names_two_hosts_is_refused(rogue: Rogue, place: str) -> None:
    """It would be judged by one of them and go to the other."""
    with running_rogue() as evil:
        rogue.routes["/blob"] = redirect(place.format(evil=evil.address, home=rogue.address))
        with pytest.raises(ImageError, match="not a URL"):
            Http(Access(), QUICK).get(f"{rogue.url}/blob", {}, {"Authorization": "Bearer x"})
        assert evil.requests == []


@pytest.mark.parametrize(
    "location", ["http://example.com:99999999/", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://[bad/"]
)
def test_a_redirect_to_what_is_no_web_url_is_refused(rogue: Rogue, location: str) -> None:
    """Only http and https are ever spoken."""
    rogue.routes["/a"] = redirect(location)
    with pytest.raises(ImageError, match=r"redirects to|not a usable URL"):
        Http(Access(), QUICK).get(f"{rogue.url}/a", {}, {})


def test_a_redirects_body_is_not_read(rogue: Rogue) -> None:
    """A redirect with an endless body is followed all the same."""

    def answer(exchange: Exchange) -> None:
        exchange.begin(302, Location="/x")
        while exchange.write(bytes(1 << 16)):
            pass

    rogue.routes["/a"] = answer
    rogue.routes["/x"] = body(b"well")
    started = time.monotonic()
    with Http(Access(), QUICK).get(f"{rogue.url}/a", {}, {}) as response:
        assert limited_body(response, 10, time.monotonic() + 5) == b"well"
    assert time.monotonic() - started < 1


def test_retry_after_is_honoured_within_reason(rogue: Rogue) -> None:
    """A server that wants us back in an hour does not get that hour."""
    rogue.routes["/x"] = in_turn(status(429, Retry_After=3600), body(b""))
    started = time.monotonic()
    Http(Access(), QUICK).get(f"{rogue.url}/x", {}, {}).close()
    assert time.monotonic() - started < 1
    assert len(rogue.requests) == 2


def test_a_proxy_is_used_where_it_is_given(rogue: Rogue) -> None:
    """Plain http through a proxy asks it for the whole URL."""
    rogue.routes["http://example.invalid/x"] = body(b"")
    Http(Access(proxies={"HTTP_PROXY": rogue.url}), QUICK).get("http://example.invalid/x", {}, {}).close()
    assert rogue.requests == [("http://example.invalid/x", "")]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://user:secret@host/path?sig=secret#x", "https://host/path"),
        ("http://host/a\x1b[31mb", "http://host/a?[31mb"),
        ("http://[bad", "http://[bad"),
    ],
)
def test_urls_are_shown_without_secrets(url: str, text: str) -> None:
    """User, password and query are left out, and control characters replaced."""
    assert shown(url) == text


def collected(exchange: Exchange) -> None:
    """Answer with what was sent."""
    exchange.send(200, exchange.read(), Sent=exchange.headers.get("Content-Length", "none"))


def test_a_body_goes_with_its_length(rogue: Rogue) -> None:
    """Bytes, a stream, and nothing at all: never in chunks, which not every registry takes."""
    rogue.routes["/x"] = collected
    http = Http(Access(), QUICK)
    data = bytes(range(256)) * 4096
    for body_, sent in ((b"abc", "3"), (Body.of(data), str(len(data))), (None, "0"), (b"", "0")):
        with http.request("PUT", f"{rogue.url}/x", {}, {}, body_) as response:
            assert response.headers["Sent"] == sent
            assert len(response.content) == int(sent)


def test_a_body_is_sent_again_from_its_beginning(rogue: Rogue) -> None:
    """Each attempt opens it anew."""
    opened: list[io.BytesIO] = []

    def fresh() -> io.BytesIO:
        opened.append(io.BytesIO(b"whole"))
        return opened[-1]

    def refused(exchange: Exchange) -> None:
        exchange.read()
        exchange.send(503)

    rogue.routes["/x"] = in_turn(refused, refused, collected)
    with Http(Access(), QUICK).request("PUT", f"{rogue.url}/x", {}, {}, Body(fresh, 5)) as response:
        assert response.content == b"whole"
    assert len(opened) == 3
    assert all(file.closed for file in opened)


def test_what_may_have_been_done_is_not_done_twice(rogue: Rogue) -> None:
    """A POST that ends in a 500 is told to whoever asked, unless it said that twice does no harm; 429 did nothing."""
    http = Http(Access(), QUICK)
    rogue.routes["/x"] = in_turn(status(500), body(b""))
    assert http.request("POST", f"{rogue.url}/x", {}, {}).status_code == 500
    rogue.routes["/x"] = in_turn(status(500), body(b""))
    assert http.request("POST", f"{rogue.url}/x", {}, {}, Body.of(b"x", Repeat.ALWAYS)).status_code == 200
    rogue.routes["/x"] = in_turn(status(429), body(b""))
    assert http.request("POST", f"{rogue.url}/x", {}, {}).status_code == 200


def test_a_broken_post_is_not_sent_again(rogue: Rogue) -> None:
    """Nobody knows what became of it."""
    rogue.routes["/x"] = lambda exchange: exchange.hang_up()
    with pytest.raises(ImageError, match="broke"):
        Http(Access(), QUICK).request("POST", f"{rogue.url}/x", {}, {}, b"x")
    assert len(rogue.requests) == 1


def test_an_upload_follows_only_redirects_that_keep_the_method(rogue: Rogue) -> None:
    """307 and 308 take the body along; a 302 would become a GET."""
    rogue.routes["/x"] = redirect("/y")
    rogue.routes["/y"] = collected
    http = Http(Access(), QUICK)
    with http.request("PUT", f"{rogue.url}/x", {}, {}, b"abc") as response:
        assert response.content == b"abc"
    rogue.routes["/x"] = status(302, Location="/y")
    with pytest.raises(ImageError, match=r"redirects \(302\) a PUT"):
        http.request("PUT", f"{rogue.url}/x", {}, {}, b"abc")


def test_retry_after_may_be_a_date() -> None:
    """RFC 9110 allows both forms; what is neither says nothing."""
    http = Http(Access(), replace(QUICK, longest_wait_s=0.3))
    soon = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert http.wait(1, soon) == 0.3
    assert http.wait(1, "Wed, 21 Oct 2015 07:28:00 GMT") == QUICK.back_off_s
    assert http.wait(1, "soon") == QUICK.back_off_s


def test_a_server_that_restarts_is_waited_for() -> None:
    """Who has answered before may refuse connections for a while."""
    port = free_port()
    http = Http(Access(), replace(QUICK, longest_wait_s=0.1, restart_s=5))
    url = f"http://127.0.0.1:{port}/x"
    with running_rogue(port) as server:
        server.routes["/x"] = body(b"one")
        http.get(url, {}, {}).close()

    def start_again() -> None:
        time.sleep(0.4)
        with running_rogue(port) as server:
            server.routes["/x"] = body(b"two")
            done.wait(5)

    done = threading.Event()
    thread = threading.Thread(target=start_again)
    thread.start()
    try:
        with http.get(url, {}, {}) as response:
            assert response.content == b"two"
    finally:
        done.set()
        thread.join()


def test_a_server_that_stays_away_is_not_waited_for_forever() -> None:
    """Nor at all where it never answered."""
    port = free_port()
    http = Http(Access(), replace(QUICK, restart_s=0.2))
    started = time.monotonic()
    with pytest.raises(ImageError, match="refuses the connection"):
        http.get(f"http://127.0.0.1:{port}/x", {}, {})
    assert time.monotonic() - started < 0.2
    with running_rogue(port) as server:
        server.routes["/x"] = body(b"")
        http.get(f"http://127.0.0.1:{port}/x", {}, {}).close()
    with pytest.raises(ImageError, match="refuses the connection"):
        http.get(f"http://127.0.0.1:{port}/x", {}, {})
    assert time.monotonic() - started < 2


def test_all_transfers_have_one_time_limit(rogue: Rogue) -> None:
    """It is the same for every client of a command, it ends bodies and waits, and its error says what it was."""
    access = Access(total_s=0.5)
    rogue.routes["/slow"] = trickle
    rogue.routes["/busy"] = status(503)
    first, second = Http(access, QUICK), Http(replace(access), replace(QUICK, attempts=1000))
    response = first.get(f"{rogue.url}/slow", {}, {})
    with response, pytest.raises(ImageError, match="time limit for all transfers is over"):
        list(pieces(response, first.patience.deadline_for(0)))
    for path in ("/slow", "/busy"):
        with pytest.raises(ImageError, match="time limit for all transfers is over"):
            second.get(f"{rogue.url}{path}", {}, {})


def test_sending_is_bounded_in_time_too(rogue: Rogue) -> None:
    """A server that takes a body bit by bit does not get for ever."""

    rogue.routes["/x"] = silent
    endless = Body(lambda: open("/dev/zero", "rb"), 1 << 40)  # noqa: SIM115 - Http closes it
    started = time.monotonic()
    with pytest.raises(ImageError):
        Http(Access(total_s=0.3), QUICK).request("PUT", f"{rogue.url}/x", {}, {}, endless)
    assert time.monotonic() - started < 2


def test_the_server_that_broke_is_the_one_that_is_named(rogue: Rogue) -> None:
    """After a redirect it is not the one that was asked first."""
    port = free_port()
    rogue.routes["/x"] = redirect(f"http://127.0.0.1:{port}/y")
    with pytest.raises(ImageError, match=f"127.0.0.1:{port} refuses the connection"):
        Http(Access(), QUICK).get(f"{rogue.url}/x", {}, {})


def _endless_trailers(exchange: Exchange) -> None:
    exchange.begin(200, Transfer_Encoding="chunked")
    exchange.write(b"2\r\n{}\r\n0\r\n")
    while exchange.write(b"X: y\r\n" * 1000):
        pass


def _slow_size(exchange: Exchange) -> None:
    exchange.begin(200, Transfer_Encoding="chunked")
    while exchange.write(b"0"):
        time.sleep(0.05)


@pytest.mark.parametrize("answer", [_endless_trailers, _slow_size])
def test_what_stands_between_chunks_is_bounded_in_time(rogue: Rogue, answer: Answer) -> None:
    """One read may take in any number of trailers, and any number of letters of a chunk's size."""
    rogue.routes["/x"] = answer
    began = time.monotonic()
    response = Http(Access(), QUICK).get(f"{rogue.url}/x", {}, {})
    with response, pytest.raises(ImageError, match="too slow"):
        limited_body(response, 10, began + 0.5)
    assert time.monotonic() - began < 3


def test_a_length_of_nothing_reads_no_chunks(rogue: Rogue) -> None:
    """Where both are there the chunks count, and nobody has bounded what is in them."""
    sent: list[int] = []

    def answer(exchange: Exchange) -> None:
        exchange.begin(200, Transfer_Encoding="chunked", Content_Length=0)
        while len(sent) < 1000 and exchange.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n"):
            sent.append(1)

    rogue.routes["/x"] = answer
    Http(Access(), QUICK).get(f"{rogue.url}/x", {}, {}).close()
    assert len(sent) < 500


def test_a_place_in_utf_8_is_read_as_such(rogue: Rogue) -> None:
    """Servers that do not quote the letters of a Location mean UTF-8, not the Latin-1 that HTTP once had."""
    rogue.routes["/x"] = redirect("/\u00e9".encode().decode("latin-1"))
    rogue.routes["/%C3%A9"] = body(b"ok")
    with Http(Access(), QUICK).get(f"{rogue.url}/x", {}, {}) as response:
        assert response.content == b"ok"
