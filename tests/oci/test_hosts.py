"""Rules about hosts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util import parse_url

from builder.oci.hosts import (
    is_loopback,
    may_be_plain,
    may_give_token,
    may_lead_to,
    may_see_login,
    origin,
    proxies_for,
    registry_url,
)

NEAR = ("127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0.0.0.0", "0", "localhost.", "a.localhost", "169.254.169.254",
        "[::]", "[::ffff:127.0.0.1]", "[fe80::1]", "\uff11\uff12\uff17.0.0.1", "\uff4cocalhost")  # fmt: skip


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]", "::1"])
def test_loopback_hosts(host: str) -> None:
    """localhost, all of 127.0.0.0/8 and ::1 are this machine."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example.com", "127.example.com", "10.0.0.1", "::2", "", "0.0.0.0"])
def test_other_hosts_are_not_loopback(host: str) -> None:
    """What only looks like it, or would have to be looked up, is not."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("registry", "url"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("ghcr.io", "https://ghcr.io"),
        ("10.0.0.1:5000", "https://10.0.0.1:5000"),
        ("localhost", "https://localhost"),
        ("127.0.0.1:5000", "https://127.0.0.1:5000"),
        ("[::1]:5000", "https://[::1]:5000"),
    ],
)
def test_where_a_registry_is_reached(registry: str, url: str) -> None:
    """By https, whatever else may be tried; docker.io lives elsewhere than its name."""
    assert registry_url(registry) == url


@pytest.mark.parametrize(
    ("source", "target", "allowed"),
    [
        ("https://a/x", "https://b/y", True),
        ("https://a/x", "http://a/x", False),
        ("http://a/x", "http://b/y", True),
        ("https://a/x", "https://127.0.0.1/y", False),
        ("http://a/x", "http://localhost:1/y", False),
        ("http://127.0.0.1:1/x", "http://127.0.0.1:2/y", True),
        ("http://127.0.0.1:1/x", "https://b/y", True),
        *(("http://a/x", f"http://{near}/y", False) for near in NEAR),
        ("http://127.0.0.1/x", "http://0.0.0.0:1/y", True),
        ("http://169.254.1.2/x", "http://169.254.1.2/y", True),
        ("https://169.254.1.2/x", "http://169.254.1.2/y", False),
        ("https://a/x", "https://128.0.0.1/y", True),
        ("https://a/x", "https://mylocalhost/y", True),
    ],
)
def test_where_a_redirect_may_lead(source: str, target: str, allowed: bool) -> None:
    """Never from https to http, and to this machine or its own link only from there, however an address is spelt."""
    assert may_lead_to(source, target) is allowed


@pytest.mark.parametrize(
    ("registry", "realm", "allowed"),
    [
        ("https://a", "https://auth.a/token", True),
        ("https://a", "http://a/token", False),
        ("https://a", "http://127.0.0.1/token", False),
        ("https://a", "https://0.0.0.0/token", False),
        ("https://0.0.0.0:5000", "https://0.0.0.0:5000/token", True),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", True),
        ("http://127.0.0.1:5000", "http://elsewhere/token", False),
        ("http://127.0.0.1:5000", "https://elsewhere/token", True),
    ],
)
def test_which_token_service_is_trusted(registry: str, realm: str, allowed: bool) -> None:
    """https, or the registry itself, or loopback where the registry is on loopback."""
    assert may_give_token(registry, realm) is allowed


@pytest.mark.parametrize(
    ("registry", "realm", "insecure", "allowed"),
    [
        ("https://a", "https://auth.a/token", (), True),
        ("https://a", "https://a/token", (), True),
        ("https://a", "https://auth.a/token", ("a",), False),  # nobody checked a's certificate
        ("https://a", "https://a/token", ("a",), True),
        ("https://a", "https://auth.a/token", ("a", "auth.a"), True),
        ("https://a", "http://auth.a:8080/token", ("auth.a:8080",), True),
        ("http://a:5000", "http://a:5000/token", ("a:5000",), True),
        ("http://a:5000", "http://a:5001/token", ("a:5000",), False),
        ("http://a:5000", "https://auth.a/token", ("a:5000",), False),
        ("http://a:5000", "http://a:5000/token", (), False),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", (), True),
        ("http://127.0.0.1:5000", "http://localhost:5001/token", (), True),
        ("http://127.0.0.1:5000", "https://auth.a/token", (), False),
    ],
)
def test_which_token_service_sees_a_login(registry: str, realm: str, insecure: tuple[str, ...], allowed: bool) -> None:
    """Who is named under a checked certificate, the registry itself, loopback's own, and who somebody named."""
    assert may_see_login(registry, realm, insecure) is allowed


@pytest.mark.parametrize(
    ("url", "insecure", "allowed"),
    [
        ("http://localhost:5000", (), True),
        ("http://a:5000", (), False),
        ("http://a:5000", ("a:5000",), True),
        ("http://a:5000", ("a",), False),
        ("https://a", ("a",), True),
        ("https://a", ("a:443",), True),
        ("https://[fe80::1]:5000", ("[fe80::1]:5000",), True),
        ("https://a.b", ("b",), False),
    ],
)
def test_where_plain_http_may_be_spoken(url: str, insecure: tuple[str, ...], allowed: bool) -> None:
    """On loopback, and to exactly the host and port that somebody named."""
    assert may_be_plain(origin(url), insecure) is allowed


@pytest.mark.parametrize("url", ["ftp://a/x", "https://", "nonsense", "file:///etc/passwd", "http://a:port/"])
def test_what_is_no_web_url_has_no_origin(url: str) -> None:
    """Other schemes, and URLs without a host, are a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        origin(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil\\@a/",
        "https://evil\\.a/",
        "https://a:443\\@evil/",
        "https://x@evil@a/",
        "https://a\t.evil/",
        "https://a\n/",
        "https://a%2eevil/",
        "https://a;evil/",
        "https:///a",
        "https://-a/",
        "https://[::1]x/",
        "https://a:99999/",
        "https://a\u2474/",  # "(1)" where it is looked up
    ],
)
def test_a_url_that_two_readers_may_read_in_two_ways_has_no_origin(url: str) -> None:
    """urllib3 connects to the first host of some of these, and urlsplit names the second."""
    with pytest.raises(ValueError, match=r"."):
        origin(url)


@pytest.mark.parametrize(
    "url", ["https://me:pw@a/x@y", "https://a:/x", "https://b\u00fccher.example/", "https://a_b/?\\"]
)
def test_odd_urls_that_are_clear_have_an_origin(url: str) -> None:
    """A user and password, an empty port, letters beyond ASCII, and what stands behind the server's name."""
    assert origin(url)[0] == "https"


def test_an_origin_has_its_default_port() -> None:
    """https://a and https://a:443 are one party; another port is another."""
    assert origin("https://A/x") == origin("https://a:443/y") != origin("https://a:444/")


def test_an_origin_is_named_as_it_is_looked_up() -> None:
    """Letters beyond ASCII are other spellings of what is asked for in the end, and all rules judge that."""
    assert origin("https://B\u00fccher.example/") == origin("https://xn--bcher-kva.example/")
    assert origin("https://\uff41.example/") == origin("https://a.example/")


PROXIES = {"HTTPS_PROXY": "http://proxy:3128", "http": "proxy:3128", "no_proxy": ".corp, 10.0.0.0/8,exact.net:8443"}


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://a/", {"https": "http://proxy:3128"}),
        ("http://a/", {"http": "http://proxy:3128"}),
        ("https://x.corp/", {}),
        ("https://corp/", {}),
        ("https://xcorp/", {"https": "http://proxy:3128"}),
        ("https://10.1.2.3/", {}),
        ("https://exact.net:8443/", {}),
        ("https://exact.net/", {"https": "http://proxy:3128"}),
        ("http://127.0.0.1:5000/", {}),
        ("http://localhost:5000/", {}),
    ],
)
def test_which_proxy_serves_a_url(url: str, proxy: dict[str, str]) -> None:
    """By scheme, under any spelling, but not for loopback and what no_proxy names."""
    assert proxies_for(url, PROXIES) == proxy


def test_no_proxy_star_exempts_everything() -> None:
    """`*` turns proxies off; ALL_PROXY serves both schemes."""
    assert proxies_for("https://a/", {**PROXIES, "no_proxy": "*"}) == {}
    assert proxies_for("https://a/", {"ALL_PROXY": "http://p:1"}) == {"https": "http://p:1"}


@pytest.mark.parametrize(
    "rule", ["[2001:db8::1]", "[2001:db8::1]:443", "2001:db8::1", "2001:db8::/32", "b\u00fccher.example"]
)
def test_no_proxy_takes_addresses_and_names_as_people_write_them(rule: str) -> None:
    """An IPv6 address with or without brackets, with a port, as a network; a name beyond ASCII."""
    url = "https://xn--bcher-kva.example/" if rule.endswith("example") else "https://[2001:db8::1]/"
    assert proxies_for(url, {"https": "http://p:1", "no_proxy": rule}) == {}
    assert proxies_for("https://[2001:db9::1]:8443/", {"https": "http://p:1", "no_proxy": rule}) != {}


@pytest.mark.parametrize(
    "proxy", ["socks5://me:secret@p:1", "http://me:secret@p:port", "http://me:secret@[::1", "http://me:secret@a b:1"]
)
def test_a_proxy_that_cannot_be_used_is_not_repeated(proxy: str) -> None:
    """It may hold a password, so what is wrong with it is said without it."""
    with pytest.raises(ValueError, match="not an http or https proxy") as caught:
        proxies_for("https://a/", {"https_proxy": proxy})
    assert caught.value.__cause__ is None
    assert proxies_for("https://a/", {"https_proxy": "https://me:p@ss@[::1]:3128"})


PIECES = (
    "a",
    "b.c",
    "@",
    "\\",
    ":",
    "/",
    "?",
    "#",
    "[",
    "::1",
    "]",
    "%",
    "80",
    " ",
    "\t",
    "\u00e9",
    "%2e",
    "127.1",
    ";",
)


@given(st.sampled_from(("http://", "https://")), st.lists(st.sampled_from(PIECES), max_size=8))
def test_an_origin_is_where_a_request_goes(scheme: str, pieces: list[str]) -> None:
    """Another reader of URLs finds the same scheme, host and port in whatever is one for us."""
    url = scheme + "".join(pieces)
    try:
        found = origin(url)
        asked = parse_url(url)
    except ValueError:
        return
    host = (asked.host or "").strip("[]").lower()
    assert "xn--" in host or found == (
        asked.scheme,
        host,
        asked.port or {"http": 80, "https": 443}[scheme[:-3]],
    )
