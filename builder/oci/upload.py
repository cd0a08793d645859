"""One blob on its way to a registry: mounted from another repository, or sent, and taken up again where it broke.

A blob goes in one request (POST, then PUT with all of it), which every registry takes. What is left after a break goes
by PATCH, and all of it in pieces where the registry, or a proxy before it, calls the whole too large.
Source: OCI distribution-spec 1.1, "Pushing blobs" and "Mounting a blob from another repository".
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit, urlunsplit

from builder.errors import ImageError
from builder.oci.body import Body, Repeat
from builder.oci.client import Client
from builder.oci.parcel import Parcel
from builder.oci.refusal import Refusal, refusal_of
from builder.oci.source import Progress
from builder.oci.transport import TransferBroken, shown
from builder.values.digest import Digest
from builder.values.image import Descriptor

if TYPE_CHECKING:
    from builder.oci.connections import Answer

_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})\Z")
_TYPE = {"Content-Type": "application/octet-stream"}
_DONE = (200, 201, 204)
_ACCEPTED = (200, 201, 202, 204)
_NO_MOUNT = (400, 401, 403, 404, 405, 422)  # a repository that we may not read, or a registry without mounts
_LOST = (400, 404, 409, 416, 500, 502, 503, 504)  # the session is gone or stands elsewhere: to be asked about
_MENDABLE = ("BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "RANGE_INVALID", "SIZE_INVALID")
_NOTHING = Body.of(b"", Repeat.ALWAYS)  # a session that is opened twice times out
_PIECES = (32 << 20, 4 << 20)  # tried in this order where one request may not hold the whole blob
_MOST_PIECE = 512 << 20


class Outcome(StrEnum):
    """How a blob came to be where it should be."""

    THERE = "there"
    MOUNTED = "mounted"
    SENT = "sent"


def is_there(client: Client, blob: Descriptor) -> bool:
    """Whether the repository has a blob already. Raises ImageError."""
    with client.request("HEAD", client.url("blobs", str(blob.digest)), {}, good=(200, 404)) as response:
        return response.status_code == 200 and response.headers.get("Content-Length", "") in ("", str(blob.size))


class Upload:
    """One blob into one repository. `run` is called once.

    `path` gives the blob's file, and is only called when its bytes are needed.
    """

    def __init__(self, client: Client, blob: Descriptor, path: Callable[[], Path], progress: Progress) -> None:
        self._client = client
        self._blob = blob
        self._path = path
        self._progress = progress
        self._session = ""  # where the blob is to be sent; "" where that must be asked for
        self._there = 0  # so many bytes the session has
        self._piece_bytes = 0  # of one request; 0 is as much as there is
        self._smaller = iter(_PIECES)

    def run(self, origins: Iterable[str]) -> Outcome:
        """Mount the blob from the first of `origins` (repositories of the same registry) that gives it, else send it.

        Raises ImageError, also for a file that is not the blob.
        """
        for repository in origins:
            if self._is_mounted(repository):
                return Outcome.MOUNTED
        self._send(Parcel(self._path(), self._blob, self._progress))
        return Outcome.SENT

    def _is_mounted(self, repository: str) -> bool:
        """Ask for a mount. A registry that cannot opens a session for the blob instead, or refuses."""
        self._cancel()
        query = urlencode({"mount": str(self._blob.digest), "from": repository})
        url = f"{self._client.url('blobs', 'uploads/')}?{query}"
        with self._client.request("POST", url, {}, _NOTHING, good=(201, 202, *_NO_MOUNT)) as response:
            if response.status_code == 202:
                self._follow(response)
            return response.status_code == 201

    def _send(self, parcel: Parcel) -> None:
        """Send all of it. Attempts are counted anew whenever the registry has got more than ever before."""
        patience = self._client.http.patience
        deadline = patience.deadline_for(self._blob.size)
        attempt, furthest = 0, 0
        failure: ImageError | None = None
        while True:
            try:
                if failure is not None and self._look():
                    return None  # all of it had arrived, only the answer was lost
                if self._there > furthest:
                    attempt, furthest = 0, self._there
                return self._go_on(parcel)
            except _Broken as broken:
                failure = broken.error
            attempt += 1
            if attempt >= patience.attempts or time.monotonic() > deadline:
                raise failure
            self._client.http.wait(attempt, "")

    def _go_on(self, parcel: Parcel) -> None:
        """Send what the session does not have yet. Raises _Broken where another attempt may help."""
        if not self._session:
            self._open()
        size = self._blob.size
        if self._there == 0 and not self._piece_bytes:
            return self._close(parcel.part(0, size))
        while self._there < size:
            end = min(size, self._there + self._piece_bytes) if self._piece_bytes else size
            self._append(parcel, end)
        return self._close(parcel.part(size, size))

    def _open(self) -> None:
        url = self._client.url("blobs", "uploads/")
        with self._client.request("POST", url, {}, _NOTHING, good=(202,)) as response:
            self._follow(response)
            least = response.headers.get("OCI-Chunk-Min-Length", "")
        if self._piece_bytes and least.isascii() and least.isdigit():
            self._piece_bytes = max(self._piece_bytes, min(int(least[:18]), _MOST_PIECE))

    def _append(self, parcel: Parcel, end: int) -> None:
        """Send up to byte `end` as one piece."""
        headers = _TYPE | {"Content-Range": f"{self._there}-{end - 1}"}
        with self._sent("PATCH", self._session, headers, parcel.part(self._there, end), _ACCEPTED) as response:
            self._follow(response)
            there = _end_of(response)
        # A registry may keep less than it was sent, and says so; one that says nothing has kept it all.
        self._there = there if there is not None and there <= end else end

    def _close(self, rest: Body) -> None:
        """Send the last bytes and say what the whole is."""
        url = _with_query(self._session, {"digest": str(self._blob.digest)})
        with self._sent("PUT", url, _TYPE, rest, _DONE) as response:
            check_digest(response, self._blob.digest, f"blob {self._blob.digest}")

    def _sent(self, method: str, url: str, headers: dict[str, str], body: Body, good: tuple[int, ...]) -> Answer:
        response = self._asked(method, url, headers, body, (*good, *_LOST, 413))
        if response.status_code in good:
            return response
        refusal = refusal_of(response, self._client.http)
        failure = self._error(refusal)
        if refusal.status == 413:
            self._take_less(body, failure)
        elif refusal.status == 400 and refusal.codes and not set(refusal.codes) & set(_MENDABLE):
            raise failure
        raise _Broken(failure)

    def _asked(
        self, method: str, url: str, headers: dict[str, str], body: Body | None, good: tuple[int, ...]
    ) -> Answer:
        """The client's answer; a connection that broke is something that another attempt may mend."""
        try:
            return self._client.request(method, url, headers, body, good)
        except ImageError as error:
            if isinstance(error.__cause__, TransferBroken):
                raise _Broken(error) from error
            raise

    def _take_less(self, body: Body, failure: ImageError) -> None:
        """After a request that was too large: begin again in smaller pieces. Raises `failure` where there are none."""
        self._piece_bytes = next((size for size in self._smaller if size < body.size), 0)
        if not self._piece_bytes:
            raise failure
        self._start_over()

    def _look(self) -> bool:
        """After a break: how much the session has, by its own account; whether all of the blob is in the repository.

        "0-0" is what some registries say of nothing and others of one byte: both are begun anew. Raises _Broken.
        """
        if not self._session:
            return False
        good = (*_ACCEPTED, 401, 403, *_LOST, 405, 410)
        with self._asked("GET", self._session, {}, None, good) as response:
            there = _end_of(response) if response.status_code in _ACCEPTED else None
            if there is not None and 1 < there <= self._blob.size:
                self._follow(response)
                self._there = there
                return False
        if is_there(self._client, self._blob):
            return True
        self._start_over()
        return False

    def _start_over(self) -> None:
        self._cancel()
        self._there = 0

    def _cancel(self) -> None:
        """Give up the session, if there is one; a registry that does not care lets it time out."""
        if self._session:
            try:
                self._client.request("DELETE", self._session, {}, good=(*_ACCEPTED, 401, 403, *_LOST, 405)).close()
            except ImageError:
                pass
        self._session = ""

    def _follow(self, response: Answer) -> None:
        """Where to send the next bytes; an answer that does not say leaves it as it was."""
        if "Location" in response.headers or not self._session:
            self._session = self._client.location(response)

    def _error(self, refusal: Refusal) -> ImageError:
        what = f"blob {self._blob.digest} ({self._blob.size} bytes)"
        if refusal.status == 413:
            return ImageError(
                f"{refusal.host} says that {what} is too large (413){refusal.said}",
                hint="the registry, or a proxy before it, limits how much may be sent",
            )
        return ImageError(f"{refusal.host} answers {refusal.status} to {what}{refusal.said}", hint="see its log")


class _Broken(Exception):
    """A request of an upload failed in a way that another attempt may mend; `error` is what to say if none does."""

    def __init__(self, error: ImageError) -> None:
        self.error = error


def check_digest(response: Answer, digest: Digest, what: str) -> None:
    """Raises ImageError where the registry says that it keeps something else than was sent.

    Only sha256 is compared: a registry may name its content by another algorithm too.
    """
    kept = response.headers.get("Docker-Content-Digest", "")
    if kept.startswith("sha256:") and kept != str(digest):
        raise ImageError(
            f"{shown(response.url)} keeps {what} as {kept[:100]!r}, which is not what was sent",
            hint="the registry, or a proxy before it, changes what it is sent",
        )


def _end_of(response: Answer) -> int | None:
    """How many bytes a session has, by the Range header; None where it does not say."""
    match = _RANGE.match(response.headers.get("Range", ""))
    return None if match is None else int(match[1]) + 1


def _with_query(url: str, more: dict[str, str]) -> str:
    """The URL with parameters added to those that it has, which are kept as they are: they may be signed."""
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(more)) if part)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
