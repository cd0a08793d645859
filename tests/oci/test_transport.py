"""HTTP under our rules."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.transport import Http, limited_body, pieces, shown
from builder.values.access import Access
from tests.oci.rogue import QUICK, Exchange, Rogue, body, in_turn, redirect, running_rogue, status


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
    """Another port is another party, even on the same host; back at the origin the secret is sent again."""
    with running_rogue() as other:
        rogue.routes["/a"] = redirect(f"{other.url}/b")
        other.routes["/b"] = redirect(f"{rogue.url}/c")
        rogue.routes["/c"] = body(b"")
        Http(Access(), QUICK).get(f"{rogue.url}/a", {}, {"Authorization": "Bearer x"}).close()
        assert other.requests == [("/b", "")]
        assert rogue.requests == [("/a", "Bearer x"), ("/c", "Bearer x")]


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
