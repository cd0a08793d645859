"""HTTP for registries and ADD: deadlines, retries, redirects under our rules, and errors in plain words.

No environment is read: proxies come as values, no .netrc and no cookie is ever sent (builder/oci/connections.py).
Redirects are followed here, because a credential goes to the host it is for and nowhere else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit

from builder.declare import dataclass, field, replace
from builder.errors import ImageError
from builder.oci.body import Body, Outgoing, may_repeat
from builder.oci.hosts import Origin, may_lead_to, origin, proxies_for
from builder.oci.unreachable import is_passing, is_refused, means_tls, unreachable
from builder.values.access import Access

if TYPE_CHECKING:
    from builder.oci.connections import Answer

MAX_REDIRECTS = 5
_RETRIED = (429, 500, 502, 503, 504)
_REDIRECTS = (301, 302, 303, 307, 308)
_CHUNK_BYTES = 256 << 10
_DISCARDED_BYTES = 16 << 10
_LONGEST_TIMER_S = float(1 << 20)  # threads cannot wait much longer


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may take. Times in seconds, speeds in bytes a second."""

    connect_s: float = 15.0
    read_s: float = 30.0  # between two pieces
    attempts: int = 4  # in a row without progress
    back_off_s: float = 0.5  # doubles each time
    longest_wait_s: float = 15.0  # whatever Retry-After says
    restart_s: float = 30.0  # how long a server that has answered before may refuse connections
    blob_s: float = 120.0  # a transfer's whole time is this …
    slowest: int = 16 << 10  # … and its size by this speed
    ends_s: float = math.inf  # when all transfers must be over (monotonic clock)

    def deadline_for(self, size: int) -> Deadline:
        """When a transfer of `size` bytes that starts now must be over (monotonic clock)."""
        own_s = time.monotonic() + self.blob_s + size / self.slowest
        return Deadline(own_s) if own_s < self.ends_s else TotalDeadline(self.ends_s)


class Deadline(float):
    """A moment of the monotonic clock, and what to say when it has passed."""

    def passed(self, url: str) -> ImageError:
        """The error of a transfer that was not over in time."""
        return ImageError(
            f"{shown(url)} is too slow: the time for this transfer is over",
            hint="check the network; a transfer must reach 16 KiB a second",
        )


class TotalDeadline(Deadline):
    """The end of the time that all transfers of a command have together."""

    def passed(self, url: str) -> ImageError:  # noqa: ARG002 - not any one server's fault
        """The error of whatever transfer was under way."""
        return all_time_is_over()


def all_time_is_over() -> ImageError:
    """The error when the time of all transfers of this command is used up (`Access.total_s`)."""
    return ImageError(
        "the time limit for all transfers is over", hint="check the network, or allow more time (`timeout`)"
    )


class TransferBroken(Exception):
    """A connection broke or fell silent in the middle of a body. The cause says how; `url` is the server's, which may
    be another one than was asked first.
    """

    def __init__(self, url: str = "") -> None:
        super().__init__()
        self.url = url


class Http:
    """A client with one pool of connections; may be used from several threads.

    `registry` is the server that `access` is for: its certificates and client certificates are used for nobody else.
    """

    def __init__(self, access: Access, patience: Patience, registry: Origin | None = None) -> None:
        from builder.oci.connections import Session
        from builder.oci.tls import Contexts

        ends_s = access.ends_s(time.monotonic())
        self._access = access
        self._contexts = Contexts(access.trust, registry)
        self._session = Session(self._contexts.of)
        self._answered: set[Origin] = set()
        self.patience = replace(patience, ends_s=min(patience.ends_s, ends_s))

    def get(self, url: str, headers: Mapping[str, str], secret: Mapping[str, str]) -> Answer:
        """`request` for GET."""
        return self.request("GET", url, headers, secret)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        secret: Mapping[str, str],
        body: bytes | Body | None = None,
    ) -> Answer:
        """Send a request, following redirects and retrying what passes; the answer's body is not read yet.

        `secret` headers are only sent to the origin of `url`. The answer may have any status but a redirect's and,
        after the last attempt, those that are retried. What may have been carried out is only sent again where that
        does no harm (`Body.repeat`). A server that has answered before may refuse connections for a while: it restarts.
        Raises ImageError.
        """
        asked = _Asked(method, url, {**headers}, {**secret}, body if isinstance(body, Body) else Body.of(body or b""))
        attempt, refused, refused_s = 1, 0, 0.0
        while True:
            try:
                response = self._follow(asked)
            except TransferBroken as broken:
                cause = broken.__cause__
                if self._restarts(broken.url, cause) and refused_s < self.patience.restart_s:
                    refused += 1
                    refused_s += self.wait(refused, "")
                    continue
                if attempt >= self.patience.attempts or not is_passing(cause) or not may_repeat(method, asked.body):
                    raise unreachable(broken.url or url, cause) from broken
                self.wait(attempt, "")
            else:
                status = response.status_code
                if not self._is_retried(status, asked) or attempt >= self.patience.attempts:
                    return response
                discard(response)
                self.wait(attempt, response.headers.get("Retry-After", ""))
            attempt += 1

    def speaks_tls(self, url: str) -> bool:
        """Whether the server of an https URL speaks TLS; it is asked with an empty request. Raises ImageError."""
        try:
            self._once("HEAD", url, {}, Body.of(b"")).close()
        except TransferBroken as broken:
            answer = means_tls(broken.__cause__)
            if answer is None:
                raise unreachable(url, broken.__cause__) from broken
            return answer
        return True

    def believe_service(self, url: str) -> None:
        """Believe the registry's own CAs of the token service at `url` too."""
        self._contexts.believe_service(origin(url))

    def wait(self, attempt: int, retry_after: str) -> float:
        """Let some time pass before the attempt after number `attempt`; gives how much, in seconds.

        Raises ImageError when all the time for transfers is over by then.
        """
        seconds = self.patience.back_off_s * float(1 << min(attempt - 1, 16))
        seconds = min(max(seconds, _seconds(retry_after)), self.patience.longest_wait_s)
        if time.monotonic() + seconds > self.patience.ends_s:
            raise all_time_is_over()
        time.sleep(seconds)
        return seconds

    def _restarts(self, url: str, cause: BaseException | None) -> bool:
        """Whether a connection was refused by somebody who has answered before."""
        return is_refused(cause) and bool(url) and origin(url) in self._answered

    def _is_retried(self, status: int, asked: _Asked) -> bool:
        # 429 says that nothing was done.
        return status == 429 or (status in _RETRIED and may_repeat(asked.method, asked.body))

    def _follow(self, asked: _Asked) -> Answer:
        at, method, body = asked.url, asked.method, asked.body
        ours = True
        for _ in range(MAX_REDIRECTS + 1):
            # Once away from home no more: another server would choose what our login asks for there.
            ours = ours and origin(at) == origin(asked.url)
            headers = {**asked.headers, **asked.secret} if ours else asked.headers
            response = self._once(method, at, headers, body)
            if response.status_code not in _REDIRECTS or "Location" not in response.headers:
                return response
            discard(response)
            if method not in ("GET", "HEAD") and response.status_code not in (307, 308):
                raise ImageError(
                    f"{shown(at)} redirects ({response.status_code}) a {method}, which is not followed",
                    hint="is it a registry? only 307 and 308 say that the same is to be sent elsewhere",
                )
            at = _redirected(at, response.headers["Location"])
            if body.secret and not (ours and origin(at) == origin(asked.url)):
                raise ImageError(
                    f"{shown(asked.url)} redirects a login to {shown(at)}, which is not followed",
                    hint="a login is only sent to the server that it is for",
                )
        raise ImageError(
            f"{shown(asked.url)} redirects more than {MAX_REDIRECTS} times", hint="the server redirects in a ring"
        )

    def _once(self, method: str, url: str, headers: Mapping[str, str], body: Body) -> Answer:
        import http.client

        from builder.oci.connections import Way

        left_s = self.patience.ends_s - time.monotonic()
        if left_s <= 0:
            raise all_time_is_over()
        server, deadline = origin(url), self.patience.deadline_for(body.size)

        def late() -> ImageError | None:
            return deadline.passed(url) if time.monotonic() > deadline else None

        try:
            with body.open() as file:
                way = Way(min(self.patience.connect_s, left_s), min(self.patience.read_s, left_s), self._proxy(url))
                sent = Outgoing(file, body.size, late) if body.size else None
                response = self._session.request(method, url, {**headers, **_length(method, body)}, sent, way)
        except (http.client.InvalidURL, UnicodeError) as error:
            raise ImageError(f"not a usable URL: {shown(url)}") from error
        except (http.client.HTTPException, OSError, EOFError) as error:
            raise TransferBroken(url) from error
        self._answered.add(server)
        return response

    def _proxy(self, url: str) -> str:
        """The proxy for a URL, "" for none. Raises ImageError for one that cannot be used."""
        try:
            return next(iter(proxies_for(url, self._access.proxies).values()), "")
        except ValueError:
            raise ImageError(
                f"the proxy for {origin(url)[1]} cannot be used",
                hint="HTTP_PROXY and HTTPS_PROXY are written http://[USER:PASSWORD@]HOST:PORT; there is no SOCKS",
            ) from None


@dataclass(frozen=True, slots=True)
class _Asked:
    method: str
    url: str
    headers: dict[str, str]
    secret: dict[str, str] = field(repr=False)
    body: Body


def _length(method: str, body: Body) -> dict[str, str]:
    """Content-Length, of an empty body only where one is expected (RFC 9110, 8.6)."""
    return {"Content-Length": str(body.size)} if body.size or method not in ("GET", "HEAD", "DELETE") else {}


def _seconds(retry_after: str) -> float:
    """Retry-After in seconds, 0 where it says nothing (RFC 9110, 10.2.3: a number, or a date)."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    import email.utils

    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError):
        return 0.0


def _redirected(at: str, location: str) -> str:
    try:
        target = urljoin(at, _as_meant(location))
        if not may_lead_to(at, target):
            raise ImageError(
                f"{shown(at)} redirects to {shown(target)}, which is not followed",
                hint="redirects from https to http, or from elsewhere to this machine, are refused",
            )
    except ValueError as error:
        raise ImageError(f"{shown(at)} redirects to a place that is not a URL") from error
    return target


def _as_meant(location: str) -> str:
    """A Location whose letters beyond ASCII are UTF-8, as everybody writes them; the library reads Latin-1."""
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return location


def pieces(response: Answer, deadline: float) -> Iterator[bytes]:
    """The body as it comes, undecoded. Raises TransferBroken when it stops or breaks, ImageError past the deadline.

    Each read gives what is there already (read1): a server that sends a byte now and then must not be able to keep us
    past the deadline. The length is the caller's to check.
    """
    import http.client

    def check() -> None:
        if time.monotonic() > deadline:
            raise (deadline if isinstance(deadline, Deadline) else Deadline(deadline)).passed(response.url)

    try:
        with response.bounded(min(deadline - time.monotonic(), _LONGEST_TIMER_S)):
            while piece := _checked(check, response.read1):
                yield piece
    except (http.client.HTTPException, OSError) as error:
        check()
        raise TransferBroken from error


def _checked(check: Callable[[], None], read: Callable[[int], bytes]) -> bytes:
    """The next piece. What looks like the body's end may be the end of the time."""
    check()
    piece = read(_CHUNK_BYTES)
    if not piece:
        check()
    return piece


def discard(response: Answer) -> None:
    """Close an answer whose body does not matter; a short body is read, so that the connection can be used again."""
    announced = response.headers.get("Content-Length", "")
    try:
        if announced.isascii() and announced.isdigit() and int(announced[:18]) <= _DISCARDED_BYTES:
            limited_body(response, _DISCARDED_BYTES, Deadline(time.monotonic() + 1))
    except (ImageError, TransferBroken):
        pass
    response.close()


def limited_body(response: Answer, limit: int, deadline: float) -> bytes:
    """A whole small body, read no further than `limit`. Raises ImageError beyond it, TransferBroken when cut short."""
    parts: list[bytes] = []
    count = 0
    for piece in pieces(response, deadline):
        count += len(piece)
        if count > limit:
            raise ImageError(
                f"{shown(response.url)} answers with more than {limit >> 20} MiB, which is refused",
                hint="this does not look like a registry's answer",
            )
        parts.append(piece)
    announced = response.headers.get("Content-Length", "")
    if announced.isascii() and announced.isdigit() and count < int(announced[:18]):
        raise TransferBroken from EOFError(f"{count} of {announced} bytes")
    return b"".join(parts)


def shown(url: str) -> str:
    """A URL fit for messages: without user, password, query (signed URLs are secrets) and control characters."""
    try:
        parts = urlsplit(url)
        text = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        text = url
    return printable(text[:300])


def printable(text: str) -> str:
    """A stranger's text fit for a terminal: what is not printable becomes a question mark."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
