"""What a step may send to its proxy, as a table: bytes, and what must come of them.

@GOOD@ is a server that the step may talk to, @EVIL@ one that it may not; both are on the loopback. Whatever is sent,
the evil server hears nothing, and each connection of the good one carries one request that all readers read alike.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StepRequest:
    """Bytes of a step. `statuses` are those of the answers, in order; `heard` is how many requests the server gets."""

    name: str
    data: bytes
    statuses: tuple[int, ...]
    heard: int = 0


_G = b"http://@GOOD@"
_E = b"http://@EVIL@"
_EVIL_REQUEST = b"GET " + _E + b"/stolen HTTP/1.1\r\n\r\n"


def _get(target: bytes, *fields: bytes, version: bytes = b"1.1") -> bytes:
    return b"\r\n".join([b"GET " + target + b" HTTP/" + version, b"Connection: close", *fields, b"", b""])


def _post(body: bytes, *fields: bytes, version: bytes = b"1.1") -> bytes:
    return b"\r\n".join([b"POST " + _G + b"/up HTTP/" + version, *fields, b"", body])


def _refused(name: str, data: bytes, status: int = 400) -> StepRequest:
    return StepRequest(name, data, (status,))


def _taken(name: str, data: bytes) -> StepRequest:
    return StepRequest(name, data, (200,), 1)


_TARGETS = (
    _taken("a plain request", _get(_G + b"/a")),
    _taken("no path", _get(_G)),
    _taken("no path and a query", _get(_G + b"?q=http://evil.test/")),
    _taken("a path with two slashes", _get(_G + b"//evil.test/x")),
    _taken("a fragment", _get(_G + b"/a#@evil.test")),
    _taken("a login in the URL", _get(b"http://evil.test:80@@GOOD@/a")),
    _taken("a login with signs in the URL", _get(b"http://a%40b:c%3a@@GOOD@/a")),
    _taken("a scheme in capitals", _get(b"HTTP://@GOOD@/a")),
    _taken("an old client", _get(_G + b"/a", version=b"1.0")),
    _refused("the good host as a login", _get(b"http://@GOOD@@@EVIL@/a"), 403),
    _refused("the good host as a login, with a backslash", _get(b"http://@GOOD@\\@@EVIL@/a"), 403),
    _refused("the evil host before a backslash", _get(b"http://@EVIL@\\.@GOOD@/a")),
    _refused("an origin alone", _get(b"/a", b"Host: @GOOD@")),
    _refused("an asterisk", _get(b"*", b"Host: @GOOD@")),
    _refused("https", _get(b"https://@GOOD@/a"), 501),
    _refused("ftp", _get(b"ftp://@GOOD@/a"), 501),
    _refused("file", _get(b"file:///etc/passwd"), 501),
    _refused("no host", _get(b"http:///a")),
    _refused("a scheme alone", _get(b"http:a")),
    _refused("an empty port", _get(b"http://good.test:/a")),
    _refused("port 0", _get(b"http://good.test:0/a")),
    _refused("a port too large", _get(b"http://good.test:65616/a")),
    _refused("a port with a sign", _get(b"http://good.test:+80/a")),
    _refused("a zone", _get(b"http://[fe80::1%25lo]/a")),
    _refused("brackets around a name", _get(b"http://[good.test]/a")),
    _refused("empty labels", _get(b"http://good..test/a")),
    _refused("two last dots", _get(b"http://good.test../a")),
    _refused("a name in percent signs", _get(b"http://%67ood.test/a")),
    _refused("a name in UTF-8", _get("http://gööd.test/a".encode())),
    _refused("full-width digits", _get("http://１２７.0.0.1/a".encode())),
    _refused("a NUL in the target", _get(b"http://good.test\0.evil.test/a")),
    _refused("a tab in the target", _get(b"http://good.test\t/a")),
    _refused("spaces in the line", b"GET  " + _G + b"/a HTTP/1.1\r\n\r\n"),
    _refused("a space after the version", b"GET " + _G + b"/a HTTP/1.1 \r\n\r\n"),
    _refused("HTTP/0.9", b"GET " + _G + b"/a\r\n\r\n"),
    _refused("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    _refused("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n"),
    _refused("SOCKS 5", b"\x05\x01\x00\r\n\r\n"),
    _refused("connect in small letters", b"connect @GOOD@ HTTP/1.1\r\n\r\n"),
    _refused("a tunnel to a URL", b"CONNECT " + _G + b"/ HTTP/1.1\r\n\r\n"),
    _refused("a tunnel without a port", b"CONNECT good.test HTTP/1.1\r\n\r\n"),
    _refused("a tunnel with a login", b"CONNECT a@@GOOD@ HTTP/1.1\r\n\r\n"),
    _refused("a tunnel to the evil host", b"CONNECT @EVIL@ HTTP/1.1\r\nHost: @GOOD@\r\n\r\n", 403),
)

_NAMES = tuple(
    _refused(f"this machine as {host}", _get(f"http://{host}:@PORT@/a".encode()), 403)
    for host in (
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "127.1",
        "127.0.1",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "2130706433",
        "017700000001",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:a9fe:a9fe::]",
        "127.0.0.2",
        "169.254.169.254",
        "[fe80::1]",
        "metadata.google.internal",
        "good.test.evil.test",
        "xgood.test",
        "good.tes",
    )
)

_HEADS = (
    _taken("another Host", _get(_G + b"/a", b"Host: @EVIL@")),
    _taken("two Hosts", _get(_G + b"/a", b"Host: @GOOD@", b"Host: @EVIL@")),
    _taken("Host is Connection's", _get(_G + b"/a", b"Connection: host")),
    _taken("an upgrade", _get(_G + b"/a", b"Upgrade: websocket", b"Connection: upgrade")),
    _taken("an upgrade to HTTP/2", _get(_G + b"/a", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")),
    _taken("a login for the proxy", _get(_G + b"/a", b"Proxy-Authorization: Basic eDp5")),
    _taken("X-Forwarded-Host", _get(_G + b"/a", b"X-Forwarded-Host: evil.test")),
    _refused("a bare LF in the head", b"GET " + _G + b"/a HTTP/1.1\nHost: x\n\n" + _EVIL_REQUEST),
    _refused("a bare LF before a field", _get(_G + b"/a", b"A: b\nContent-Length: 9")),
    _refused("a bare CR in a field", _get(_G + b"/a", b"A: b\rContent-Length: 9")),
    _refused("a folded line", _get(_G + b"/a", b"A: b", b" c")),
    _refused("a folded first line", b"GET " + _G + b"/a HTTP/1.1\r\n Host: x\r\n\r\n"),
    _refused("a space before the colon", _get(_G + b"/a", b"Content-Length : 9")),
    _refused("a tab before the colon", _get(_G + b"/a", b"Transfer-Encoding\t: chunked")),
    _refused("no colon", _get(_G + b"/a", b"Content-Length 9")),
    _refused("no name", _get(_G + b"/a", b": 9")),
    _refused("a NUL in a field", _get(_G + b"/a", b"A: \0")),
    _refused("a control in a field", _get(_G + b"/a", b"A: \x1b[2J")),
    _refused("a name in UTF-8 in a field", _get(_G + b"/a", "Ä: b".encode())),
    _refused("a huge head", _get(_G + b"/a", *([b"A: " + b"x" * 1000] * 70))),
    _refused("a huge line", _get(_G + b"/" + b"a" * (20 << 10))),
    _refused("a huge head for a tunnel", b"CONNECT @GOOD@ HTTP/1.1\r\nA: " + b"x" * (70 << 10) + b"\r\n\r\n"),
)

_BODIES = (
    _taken("a body", _post(b"12345", b"Content-Length: 5", b"Connection: close")),
    _taken("a body in chunks", _post(b"5\r\n12345\r\n0\r\n\r\n", b"Transfer-Encoding: chunked", b"Connection: close")),
    _taken(
        "a length that Connection takes away",
        _post(_EVIL_REQUEST, b"Content-Length: %d" % len(_EVIL_REQUEST), b"Connection: close, content-length"),
    ),
    _taken(
        "chunks that Connection takes away",
        _post(b"5\r\n12345\r\n0\r\n\r\n", b"Transfer-Encoding: chunked", b"Connection: close, transfer-encoding"),
    ),
    _taken("one length twice", _post(b"12345", b"Content-Length: 5", b"Content-Length: 5", b"Connection: close")),
    _taken("one length in a list", _post(b"12345", b"Content-Length: 5, 5", b"Connection: close")),
    _taken("a length with zeros", _post(b"12345", b"Content-Length: 0005", b"Connection: close")),
    _refused("a length and chunks", _post(b"0\r\n\r\n", b"Content-Length: 5", b"Transfer-Encoding: chunked")),
    _refused("chunks and a length", _post(b"0\r\n\r\n", b"Transfer-Encoding: chunked", b"Content-Length: 5")),
    _refused("two lengths", _post(b"12345", b"Content-Length: 5", b"Content-Length: 0")),
    _refused("two lengths in a list", _post(b"12345", b"Content-Length: 0, 5")),
    _refused("an empty length before another", _post(b"12345", b"Content-Length: ,5")),
    _refused("an empty length", _post(b"12345", b"Content-Length:")),
    _refused("a length with a sign", _post(b"12345", b"Content-Length: +5")),
    _refused("a length in hex", _post(b"12345", b"Content-Length: 0x5")),
    _refused("a length below nothing", _post(b"12345", b"Content-Length: -1")),
    _refused("a length of 20 digits", _post(b"12345", b"Content-Length: 18446744073709551621")),
    _refused("a length in other digits", _post(b"12345", "Content-Length: ５".encode())),
    _refused("chunks twice", _post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, chunked")),
    _refused("chunks, then identity", _post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, identity")),
    _refused("compressed chunks", _post(b"0\r\n\r\n", b"Transfer-Encoding: gzip, chunked")),
    _refused("chunks misspelt", _post(b"0\r\n\r\n", b"Transfer-Encoding: xchunked")),
    _refused("chunks in quotes", _post(b"0\r\n\r\n", b'Transfer-Encoding: "chunked"')),
    _refused("chunks behind a control", _post(b"0\r\n\r\n", b"Transfer-Encoding: \x0bchunked")),
    _refused("chunks in HTTP/1.0", _post(b"0\r\n\r\n", b"Transfer-Encoding: chunked", version=b"1.0")),
)

_CHUNKS = tuple(
    _refused(name, _post(body + _EVIL_REQUEST, b"Transfer-Encoding: chunked"), 502)
    for name, body in (
        ("no end after a chunk", b"5\r\n12345XX0\r\n\r\n"),
        ("a bare LF after a chunk", b"5\r\n12345\n0\r\n\r\n"),
        ("a bare LF after a size", b"5\n12345\r\n0\r\n\r\n"),
        ("a bare LF in an extension", b"5;a\nb\r\n12345\r\n0\r\n\r\n"),
        ("a bare CR in an extension", b"5;a\rb\r\n12345\r\n0\r\n\r\n"),
        ("a NUL in an extension", b"5;\0\r\n12345\r\n0\r\n\r\n"),
        ("a size in 0x", b"0x5\r\n12345\r\n0\r\n\r\n"),
        ("a size with a sign", b"+5\r\n12345\r\n0\r\n\r\n"),
        ("a size with a line", b"5_0\r\n12345\r\n0\r\n\r\n"),
        ("a size of 17 digits", b"10000000000000005\r\n12345\r\n0\r\n\r\n"),
        ("no size", b"\r\n12345\r\n0\r\n\r\n"),
        ("an endless extension", b"5;" + b"a" * 9000 + b"\r\n12345\r\n0\r\n\r\n"),
        ("a trailer that is none", b"0\r\nGET / HTTP/1.1\r\n\r\n"),
        ("a length as a trailer", b"0\r\nContent-Length: 5\r\n\r\n"),
        ("a host as a trailer", b"0\r\nHost: evil.test\r\n\r\n"),
        ("endless trailers", b"0\r\n" + b"A: b\r\n" * 20000 + b"\r\n"),
    )
)

_AFTER = (
    StepRequest(
        "another host behind a request", _get(_G + b"/a").replace(b"close", b"x") + _EVIL_REQUEST, (200, 403), 1
    ),
    StepRequest("another host behind a close", _get(_G + b"/a") + _EVIL_REQUEST, (200,), 1),
    StepRequest("another host behind a body", _post(b"12345" + _EVIL_REQUEST, b"Content-Length: 5"), (200, 403), 1),
    StepRequest(
        "another host behind chunks",
        _post(b"5;ext=1\r\n12345\r\n0\r\nA: b\r\n\r\n" + _EVIL_REQUEST, b"Transfer-Encoding: chunked"),
        (200, 403),
        1,
    ),
    StepRequest(
        "a request without a host behind one",
        _get(_G).replace(b"close", b"x") + b"GET /b HTTP/1.1\r\n\r\n",
        (200, 400),
        1,
    ),
    StepRequest(
        "another host behind a GET with a length",
        _get(_G, b"Content-Length: 0").replace(b"close", b"x") + _EVIL_REQUEST,
        (200, 403),
        1,
    ),
    StepRequest(
        "three behind one another", _get(_G + b"/1").replace(b"close", b"x") * 2 + _get(_G + b"/3"), (200, 200, 200), 3
    ),
    StepRequest("a head that ends early", b"GET " + _G + b"/a HTTP/1.1\r\nHost:", (400,)),
    StepRequest("nothing but blank lines", b"\r\n" * 5000, ()),
    StepRequest("nothing", b"", ()),
)

CASES = (*_TARGETS, *_NAMES, *_HEADS, *_BODIES, *_CHUNKS, *_AFTER)
