"""HTTP for registries and ADD: deadlines, retries, redirects under our rules, and errors in plain words.

No environment is read (requests' trust_env is off): proxies come as values, no .netrc and no cookie is ever sent.
Redirects are followed here and not by requests, because a credential goes to the host it is for and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit

from builder.errors import ImageError
from builder.oci.hosts import may_lead_to, origin, proxies_for
from builder.oci.unreachable import is_passing, unreachable

if TYPE_CHECKING:
    import requests

MAX_REDIRECTS = 5
_RETRIED = (429, 500, 502, 503, 504)
_REDIRECTS = (301, 302, 303, 307, 308)
_CHUNK_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may take. Times in seconds, speeds in bytes a second."""

    connect_s: float = 15.0
    read_s: float = 30.0  # between two pieces
    attempts: int = 4  # in a row without progress
    back_off_s: float = 0.5  # doubles each time
    longest_wait_s: float = 15.0  # whatever Retry-After says
    blob_s: float = 120.0  # a transfer's whole time is this …
    slowest: int = 16 << 10  # … and its size by this speed

    def deadline_for(self, size: int) -> float:
        """When a transfer of `size` bytes that starts now must be over (monotonic clock)."""
        return time.monotonic() + self.blob_s + size / self.slowest


class TransferBroken(Exception):
    """A connection broke or fell silent in the middle of a body. The cause says how."""


class Http:
    """A client with one connection pool; may be used from several threads."""

    def __init__(self, proxies: Mapping[str, str], patience: Patience) -> None:
        import http.cookiejar

        import requests

        class Session(requests.Session):
            def get_redirect_target(self, resp: requests.Response) -> None:
                """None: requests would read a redirect's whole body, however long, just to know the next request."""

        self._proxies = proxies
        self.patience = patience
        self._session = Session()
        self._session.trust_env = False
        self._session.headers.update({"User-Agent": "pybuild", "Accept": "*/*", "Accept-Encoding": "identity"})
        # No domain may set a cookie: requests to one registry have nothing to say to the next.
        self._session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))

    def get(self, url: str, headers: Mapping[str, str], secret: Mapping[str, str]) -> requests.Response:
        """Ask for `url`, following redirects and retrying what passes; the body is not read yet.

        `secret` headers are only sent to the origin of `url`. The answer may have any status but a redirect's and,
        after the last attempt, those that are retried. Raises ImageError.
        """
        for attempt in range(1, self.patience.attempts + 1):
            last = attempt == self.patience.attempts
            try:
                response = self._follow(url, headers, secret)
            except TransferBroken as broken:
                if last or not is_passing(broken.__cause__):
                    raise unreachable(url, broken.__cause__) from broken
                self.wait(attempt, "")
                continue
            if response.status_code not in _RETRIED or last:
                return response
            self.wait(attempt, response.headers.get("Retry-After", ""))
            response.close()
        raise AssertionError("the last attempt returns or raises")

    def wait(self, attempt: int, retry_after: str) -> None:
        """Let some time pass before the attempt after number `attempt`."""
        seconds = self.patience.back_off_s * 2 ** (attempt - 1)
        if retry_after.isascii() and retry_after.isdigit():
            seconds = max(seconds, float(retry_after[:9]))
        time.sleep(min(seconds, self.patience.longest_wait_s))

    def _follow(self, url: str, headers: Mapping[str, str], secret: Mapping[str, str]) -> requests.Response:
        at = url
        for _ in range(MAX_REDIRECTS + 1):
            ours = origin(at) == origin(url)
            response = self._once(at, {**headers, **secret} if ours else dict(headers))
            if response.status_code not in _REDIRECTS or "Location" not in response.headers:
                return response
            response.close()
            at = _redirected(at, response.headers["Location"])
        raise ImageError(
            f"{shown(url)} redirects more than {MAX_REDIRECTS} times", hint="the server redirects in a ring"
        )

    def _once(self, url: str, headers: dict[str, str]) -> requests.Response:
        import requests

        try:
            return self._session.get(
                url,
                headers=headers,
                stream=True,
                allow_redirects=False,
                timeout=(self.patience.connect_s, self.patience.read_s),
                proxies=proxies_for(url, self._proxies),
            )
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError) as error:
            raise ImageError(f"not a usable URL: {shown(url)}") from error
        except (requests.RequestException, OSError) as error:
            raise TransferBroken from error


def _redirected(at: str, location: str) -> str:
    try:
        target = urljoin(at, location)
        if not may_lead_to(at, target):
            raise ImageError(
                f"{shown(at)} redirects to {shown(target)}, which is not followed",
                hint="redirects from https to http, or from elsewhere to this machine, are refused",
            )
    except ValueError as error:
        raise ImageError(f"{shown(at)} redirects to a place that is not a URL") from error
    return target


def pieces(response: requests.Response, deadline: float) -> Iterator[bytes]:
    """The body as it comes, undecoded. Raises TransferBroken when it stops or breaks, ImageError past the deadline.

    Each read gives what is there already (read1): a server that sends a byte now and then must not be able to keep us
    past the deadline. The length is the caller's to check.
    """
    import requests
    import urllib3

    read = _reader(response)
    try:
        while True:
            if time.monotonic() > deadline:
                raise ImageError(
                    f"{shown(response.url)} is too slow: the time for this transfer is over",
                    hint="check the network; a transfer must reach 16 KiB a second",
                )
            piece = read(_CHUNK_BYTES)
            if not piece:
                return
            yield piece
    except (urllib3.exceptions.HTTPError, requests.RequestException, OSError) as error:
        raise TransferBroken from error


def _reader(response: requests.Response) -> Callable[[int], bytes]:
    raw = response.raw
    if hasattr(raw, "read1"):
        return lambda count: bytes(raw.read1(count, decode_content=False))
    return lambda count: bytes(raw.read(min(count, 4096), decode_content=False))  # urllib3 1: no read1


def limited_body(response: requests.Response, limit: int, deadline: float) -> bytes:
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
