"""Files for ADD from http and https URLs: streamed, bounded, and checked against the digest that the Buildfile names.

The name is the last part of the URL's path and nothing else: BuildKit's Dockerfile frontend passes that name with the
request, so neither Content-Disposition nor a redirect changes it, and where a COPY ends up never depends on a server.
The bytes are stored as they are sent, without undoing a Content-Encoding.
"""

from __future__ import annotations

import email.utils
import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from builder.declare import dataclass, field
from builder.errors import ContextError, ImageError
from builder.oci.hosts import origin
from builder.oci.source import Progress, ignore_progress
from builder.oci.transport import Http, Patience, TransferBroken, pieces, shown
from builder.oci.unreachable import unreachable
from builder.oci.verify import new_file
from builder.values.access import Access, Trust
from builder.values.digest import Digest

if TYPE_CHECKING:
    from builder.oci.connections import Answer

MAX_BYTES = 20 << 30
_UNKNOWN_SIZE = 1 << 30  # how large a file without a Content-Length is taken to be, for its deadline
_ROOTS = "name its CA in a file for SSL_CERT_FILE, or install it on this machine"
_NAMELESS = "__unnamed__"  # what BuildKit calls such a file


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was fetched; `size` in bytes, `last_modified_s` as Unix time, None where the server does not say."""

    name: str
    size: int
    last_modified_s: int | None
    digest: Digest


def fetch_url(
    url: str,
    into: Path,
    checksum: Digest | None,
    web: Web | None = None,
    progress: Progress = ignore_progress,
) -> Fetched:
    """Fetch `url` into the file `into`; a failure leaves no file there.

    Raises ContextError: the URL is none, nothing answers, it is not there, it is cut short, or its digest is not
    `checksum`; StoreError when it cannot be written.
    """
    try:
        origin(url)
    except ValueError as error:
        raise ContextError(f"ADD cannot fetch {shown(url)}: it is not an http or https URL") from error
    around = web or Web()
    try:
        access = Access(proxies=around.proxies, trust=around.trust.roots)
        return _Fetch(url, Http(access, around.patience), progress).run(into, checksum)
    except ImageError as error:
        hint = _ROOTS if error.hint and "--cert-dir" in error.hint else error.hint
        raise ContextError(f"ADD cannot fetch {shown(url)}: {error.message}", hint=hint) from error


@dataclass(frozen=True, slots=True)
class Web:
    """How the network is reached: HTTP_PROXY and its kind by any of their names, how long servers may take, and whom
    we believe: of `trust` only the roots count. What is said of registries is not said of servers of files.
    """

    proxies: Mapping[str, str] = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)
    trust: Trust = field(default_factory=Trust)


def name_of(url: str) -> str:
    """The name that a file of this URL gets in a directory: never empty, never a path."""
    name = posixpath.basename(posixpath.normpath(unquote(urlsplit(url).path, errors="surrogateescape")))
    return _NAMELESS if name in ("", ".", "..", "/") or "\0" in name else name


class _Fetch:
    def __init__(self, url: str, http: Http, progress: Progress) -> None:
        self._url = url
        self._http = http
        self._progress = progress

    def run(self, into: Path, checksum: Digest | None) -> Fetched:
        attempts = self._http.patience.attempts
        for attempt in range(1, attempts + 1):
            try:
                return self._once(into, checksum)
            except TransferBroken as broken:
                if attempt == attempts:
                    raise unreachable(self._url, broken.__cause__) from broken
                self._http.wait(attempt, "")
        raise AssertionError("the last attempt returns or raises")

    def _once(self, into: Path, checksum: Digest | None) -> Fetched:
        with self._http.get(self._url, {}, {}) as response:
            if response.status_code != 200:
                raise _refused(response)
            with new_file(into) as file:
                sha256, count = hashlib.sha256(), 0
                for piece in self._pieces(response):
                    sha256.update(piece)
                    count += len(piece)
                    file.write(piece)
                    self._progress(count)
                got = Digest(sha256.hexdigest())
                if checksum is not None and got != checksum:
                    raise ImageError(
                        f"its digest is {got}, not {checksum}", hint="the file changed, or --checksum is wrong"
                    )
            return Fetched(name_of(self._url), count, _last_modified(response), got)

    def _pieces(self, response: Answer) -> Iterator[bytes]:
        announced = _announced(response)
        deadline = self._http.patience.deadline_for(_UNKNOWN_SIZE if announced is None else announced)
        count = 0
        for piece in pieces(response, deadline):
            count += len(piece)
            if count > MAX_BYTES:
                raise ImageError(f"it is larger than {MAX_BYTES >> 30} GiB")
            yield piece
        if announced is not None and count < announced:
            raise TransferBroken from EOFError(f"{count} of {announced} bytes")


def _announced(response: Answer) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text[:18]) if text.isascii() and text.isdigit() else None


def _refused(response: Answer) -> ImageError:
    status = response.status_code
    if status in (404, 410):
        return ImageError(f"it does not exist ({status})", hint="check the URL")
    if status in (401, 403):
        return ImageError(f"the server does not let us read it ({status})")
    return ImageError(f"the server answers {status}", hint="try again later" if status >= 500 else "check the URL")


def _last_modified(response: Answer) -> int | None:
    try:
        moment = email.utils.parsedate_to_datetime(response.headers.get("Last-Modified", ""))
        return max(0, int(moment.timestamp()))
    except (ValueError, OverflowError, TypeError):
        return None
