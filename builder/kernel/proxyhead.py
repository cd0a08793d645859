"""Heads of HTTP messages as the proxy of a step reads and writes them, and where their bodies end. No sockets.

Strict, because two who read one message differently are how requests are smuggled past a record: no folded lines, no
blanks before a colon, no two lengths. What is not understood is refused, never passed on; what says whose a request is
and where its body ends is written anew, in the one spelling that nobody reads otherwise.

Sources: RFC 9110 (7.6.1 on fields of one hop), RFC 9112 (3.2 on targets, 6 on bodies, 7.1 on chunks).
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from builder.declare import dataclass
from builder.values.hosts import address_of, canonical

HEAD_LIMIT_BYTES = 64 << 10
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]{1,16384}) HTTP/1\.([01])\Z")
_STATUS = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: .*)?\Z")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*\Z", re.DOTALL)
_LENGTH = re.compile(rb"[0-9]{1,18}\Z")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?\Z", re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?\Z")
_BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]{2,45}\]\Z")
_PORT = re.compile(r"[0-9]{1,5}\Z")
_ONE_HOP = frozenset(
    (
        b"connection",
        b"proxy-connection",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-authenticate",
        b"te",
        b"upgrade",
    )
)
_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"host"))
"""Not Connection's to take away, nor a trailer's to say: what was read by them has to be what is passed on."""

Fields = tuple[tuple[bytes, bytes], ...]


class BadMessage(Exception):
    """A message that is refused, with the status that says so."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request: for CONNECT `path` is empty. `host` is canonical; `target` is path and query as they came."""

    method: str
    host: str
    port: int
    target: bytes
    fields: Fields
    version: bytes
    keeps: bool  # the client would ask again on this connection

    @property
    def expects_more(self) -> bool:
        """Whether the client waits for a word before it sends its body."""
        return b"100-continue" in _words(self.fields, b"expect")

    @property
    def path(self) -> str:
        """The path alone: a query may hold what is nobody's business."""
        return self.target.partition(b"?")[0].decode("ascii")

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 80 and self.target else f"{host}:{self.port}"

    def encoded(self, whole_url: bool, more: Fields = ()) -> bytes:
        """The head as it goes on: to the server itself, or (`whole_url`) to another proxy."""
        target = f"http://{self.authority}".encode() + self.target if whole_url else self.target
        passed_on = _passed_on(self.fields, b"expect", *_FRAMING)
        fields = [(b"Host", self.authority.encode()), *passed_on, *_framing(self.fields), *more]
        line = b"%s %s HTTP/1.%s" % (self.method.encode(), target, self.version)
        return _encoded(line, [*fields, (b"Connection", b"close")])


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """An answer's status line and fields."""

    line: bytes
    status: int
    fields: Fields

    def encoded(self, connection: bytes) -> bytes:
        """The head as it goes on to the step; `connection` says whether more may be asked."""
        return _encoded(self.line, [*_passed_on(self.fields), (b"Connection", connection)])


def _encoded(line: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
    return b"\r\n".join([line, *(name + b": " + value for name, value in fields), b"", b""])


def read_request(head: bytes) -> RequestHead:
    """A request's head, up to and with its empty line. Raises BadMessage."""
    line, fields = _parsed(head)
    match = _LINE.match(line)
    if match is None:
        raise BadMessage(400, "this is no request of HTTP/1")
    method, target = match[1].decode(), match[2].decode()
    keeps = match[3] == b"1" and b"close" not in _words(fields, b"connection") + _words(fields, b"proxy-connection")
    if method != "CONNECT" and method.upper() == "CONNECT":
        raise BadMessage(400, "methods are written in capitals")
    if method == "CONNECT":
        host, port = _authority(target, 0)
        return RequestHead(method, host, port, b"", fields, match[3], False)
    if target.startswith("/") or target == "*":
        raise BadMessage(400, "this is a proxy and no server: a whole URL is needed")
    try:
        parts = urlsplit(target)
    except ValueError:
        raise BadMessage(400, "the URL cannot be understood") from None
    if parts.scheme.lower() != "http":
        raise BadMessage(501, f"{parts.scheme[:20]} is not spoken here: http, and all else through CONNECT")
    host, port = _authority(parts.netloc.rpartition("@")[2], 80)
    rest = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return RequestHead(method, host, port, rest.encode(), fields, match[3], keeps)


def read_response(head: bytes) -> ResponseHead:
    """An answer's head. Raises BadMessage."""
    line, fields = _parsed(head)
    match = _STATUS.match(line)
    if match is None:
        raise BadMessage(502, "the server does not answer in HTTP/1")
    return ResponseHead(line, int(match[1]), fields)


def _parsed(head: bytes) -> tuple[bytes, Fields]:
    line, *rows = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    fields = []
    for row in rows:
        match = _FIELD.match(row)
        if match is None or _CONTROL.search(row):
            raise BadMessage(400, "a field cannot be understood")
        fields.append((match[1], match[2]))
    return line, tuple(fields)


def _authority(text: str, port: int) -> tuple[str, int]:
    host, colon, number = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, number = text, str(port)
    if not _is_host(host) or not _PORT.match(number) or not 0 < int(number) < 1 << 16:
        raise BadMessage(400, "a host and a port are needed")
    return canonical(host), int(number)


def _is_host(text: str) -> bool:
    if _BRACKETED.match(text):
        return ":" in text and address_of(text[1:-1]) is not None
    return _HOST.match(text) is not None


def _all_words(fields: Fields, wanted: bytes) -> list[bytes]:
    """The words of a field's list, in small letters, with those that are empty."""
    values = [value for name, value in fields if name.lower() == wanted]
    return [word.strip(b" \t").lower() for word in b",".join(values).split(b",")] if values else []


def _words(fields: Fields, wanted: bytes) -> list[bytes]:
    return [word for word in _all_words(fields, wanted) if word]


def _passed_on(fields: Fields, *but: bytes) -> list[tuple[bytes, bytes]]:
    left_out = _ONE_HOP.union(set(_words(fields, b"connection")) - _FRAMING, but)
    return [(name, value) for name, value in fields if name.lower() not in left_out]


class Body:
    """Where a body ends. `take` is given what comes and says how much of it belongs to the body."""

    def __init__(self, length: int | None) -> None:
        """`length` in bytes; None for one that ends with its connection."""
        self.length = length
        self._left = length
        self.ended = length == 0
        self.ends_with_connection = length is None

    def take(self, data: bytes) -> int:
        """How many of these bytes are the body's. Raises BadMessage."""
        if self._left is None:
            return len(data)
        count = min(len(data), self._left)
        self._left -= count
        self.ended = self._left == 0
        return count


class ChunkedBody(Body):
    """A body in chunks: sizes, data, and at the end trailers up to an empty line."""

    def __init__(self) -> None:
        super().__init__(-1)
        self._line = bytearray()
        self._data = 0  # bytes of a chunk that are still to come
        self._after_data = False  # nothing but the end of a line may come
        self._last = False
        self._trailer_bytes = 0

    def take(self, data: bytes) -> int:
        """How many of these bytes are the body's. Raises BadMessage."""
        at = 0
        while at < len(data) and not self.ended:
            if self._data:
                step = min(self._data, len(data) - at)
                self._data -= step
                at += step
                continue
            end = data.find(b"\n", at)
            stop = len(data) if end < 0 else end + 1
            self._line += data[at:stop]
            at = stop
            if len(self._line) > 8192:
                raise BadMessage(400, "a chunk's size is too long")
            if end >= 0:
                self._end_line()
        return at

    def _end_line(self) -> None:
        line = bytes(self._line[:-2])
        if not self._line.endswith(b"\r\n") or _CONTROL.search(line) or (self._after_data and line):
            raise BadMessage(400, "chunks cannot be understood")
        self._line.clear()
        if self._after_data:
            self._after_data = False
        elif self._last:
            self._end_trailer(line)
        else:
            self._begin_chunk(line)

    def _begin_chunk(self, line: bytes) -> None:
        match = _SIZE.match(line)
        if match is None:
            raise BadMessage(400, "chunks cannot be understood")
        self._data = int(match[1], 16)
        self._last = self._data == 0
        self._after_data = self._data > 0

    def _end_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if self._trailer_bytes > HEAD_LIMIT_BYTES:
            raise BadMessage(400, "trailers are too long")
        match = _FIELD.match(line)
        if line and (match is None or match[1].lower() in _FRAMING):
            raise BadMessage(400, "trailers cannot be understood")
        self.ended = not line


def body_of_request(head: RequestHead) -> Body:
    """The body that follows. Raises BadMessage for one whose end is doubtful."""
    body = _framed(head.fields)
    if isinstance(body, ChunkedBody) and head.version == b"0":
        raise _doubtful()  # HTTP/1.0 knows no chunks (RFC 9112, 6.1)
    return body or Body(0)


def body_of_response(head: ResponseHead, method: str) -> Body:
    """The body that follows. Raises BadMessage."""
    if method == "HEAD" or head.status in (204, 304) or head.status < 200:
        return Body(0)
    return _framed(head.fields) or Body(None)


def _framed(fields: Fields) -> Body | None:
    codings = _all_words(fields, b"transfer-encoding")
    lengths = set(_all_words(fields, b"content-length"))
    if codings and (lengths or codings != [b"chunked"]):
        raise _doubtful()
    if codings:
        return ChunkedBody()
    if not lengths:
        return None
    length = lengths.pop()
    if lengths or not _LENGTH.match(length):
        raise _doubtful()
    return Body(int(length))


def _framing(fields: Fields) -> Fields:
    """The one field that says where a body ends."""
    body = _framed(fields)
    if isinstance(body, ChunkedBody):
        return ((b"Transfer-Encoding", b"chunked"),)
    return () if body is None else ((b"Content-Length", b"%d" % (body.length or 0)),)


def _doubtful() -> BadMessage:
    return BadMessage(400, "where the body ends is doubtful")
