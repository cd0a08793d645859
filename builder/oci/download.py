"""A blob on its way from a registry: written as it comes, taken up again where it broke.

What was put together from several answers may be wrong where none of them was (a cache on the way that is damaged, a
server that counts ranges in its own way): then the blob is asked for once more from its first byte, before that is an
error.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, BinaryIO

from builder.errors import ImageError
from builder.oci.client import Client
from builder.oci.hosts import origin
from builder.oci.source import Progress
from builder.oci.transport import TransferBroken, pieces, shown
from builder.oci.unreachable import unreachable
from builder.oci.verify import Verifier, truncated
from builder.values.image import Descriptor

if TYPE_CHECKING:
    from builder.oci.connections import Answer

_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{0,18}(?:/(?:([0-9]{1,18})|\*)?)?\Z")
_NO_SUCH_PART = 416
_FORBIDDEN = 403
_PASSING = (500, 502, 503, 504)


class _Spoiled(Exception):
    """What has come in parts does not fit together."""

    def __init__(self, error: ImageError) -> None:
        super().__init__()
        self.error = error


class Download:
    """One blob into one open file. `run` is called once, and again after each `go_on_with`."""

    def __init__(self, client: Client, blob: Descriptor, file: BinaryIO, progress: Progress) -> None:
        self._client = client
        self._blob = blob
        self._file = file
        self._progress = progress
        self._verifier = Verifier(blob)
        self._answers = 0  # that what we have was put together from
        self._begun_again = False

    def go_on_with(self, client: Client) -> None:
        """Have the next `run` take what is missing from another registry, after one that failed."""
        self._client = client
        self._begun_again = False
        if self._verifier.count >= self._blob.size:  # it came whole, and was damaged
            self._start_again()

    def run(self) -> None:
        """Fetch all of it, verified. Raises ImageError; attempts are counted anew whenever there is more than ever."""
        patience = self._client.http.patience
        deadline = patience.deadline_for(self._blob.size)
        attempt, furthest = 0, self._verifier.count
        while True:
            try:
                failure = self._go_on(deadline)
                if failure is None:
                    return self._finish()
            except _Spoiled as spoiled:
                if self._begun_again:
                    raise spoiled.error from None
                self._begun_again = True
                self._start_again()
                furthest = 0
                continue
            attempt = 1 if self._verifier.count > furthest else attempt + 1
            furthest = max(furthest, self._verifier.count)
            if attempt >= patience.attempts or time.monotonic() > deadline:
                raise failure
            self._client.http.wait(attempt, "")

    def _go_on(self, deadline: float) -> ImageError | None:
        """One request for what is missing; the error to give up with where it did not bring everything.

        The registry is asked each time, and not the server that it has redirected us to: a signed URL may have
        expired since.
        """
        url = self._client.url("blobs", str(self._blob.digest))
        start = self._verifier.count
        headers = {"Range": f"bytes={start}-"} if start else {}
        looked_at = (_NO_SUCH_PART, *_PASSING) if start else ()
        try:
            with self._client.request("GET", url, headers, good=(200, 206, _FORBIDDEN, *looked_at)) as response:
                if response.status_code in (_FORBIDDEN, *_PASSING):
                    return self._refused(response, url)
                self._place(response)
                for piece in pieces(response, deadline):
                    self._take(piece)
        except TransferBroken as broken:
            if self._verifier.count < self._blob.size:
                return unreachable(url, broken.__cause__)
        return None if self._verifier.count == self._blob.size else truncated(self._blob, self._verifier.count)

    def _refused(self, response: Answer, url: str) -> ImageError:
        """The error of an answer after which another attempt may help. Raises it where none does."""
        error = self._client.refused(response)
        if response.status_code != _FORBIDDEN:
            return error
        if origin(response.url) == origin(url):
            raise error
        return ImageError(
            f"{shown(response.url)} does not give out a blob that the registry has sent us there for (403)",
            hint="links to storage are signed for a short time: check this machine's clock",
        )

    def _place(self, response: Answer) -> None:
        """Find out where in the blob the answer goes. Raises ImageError, _Spoiled."""
        start = self._verifier.count
        if start and response.status_code == 200:  # the server does not know ranges
            self._start_again()
        elif response.status_code == _NO_SUCH_PART:
            raise _Spoiled(self._client.refused(response))
        elif response.status_code == 206:
            self._check_part(response, start)
        self._answers += 1

    def _check_part(self, response: Answer, start: int) -> None:
        match = _RANGE.match(response.headers.get("Content-Range", ""))
        if match is not None and int(match[1]) == start and int(match[2] or self._blob.size) == self._blob.size:
            return
        error = ImageError(
            f"{shown(response.url)} answers with another part of the blob {self._blob.digest} than was asked for",
            hint="something between here and the registry does not know ranges; try again, or another mirror",
        )
        if start:
            raise _Spoiled(error)
        raise error

    def _take(self, piece: bytes) -> None:
        try:
            self._verifier.feed(piece)
        except ImageError as error:
            raise self._of_parts(error) from None
        self._file.write(piece)
        self._progress(self._verifier.count)

    def _finish(self) -> None:
        try:
            self._verifier.finish()
        except ImageError as error:
            raise self._of_parts(error) from None

    def _of_parts(self, error: ImageError) -> Exception:
        """What damage means: it may come from putting parts together, if there were several."""
        return _Spoiled(error) if self._answers > 1 else error

    def _start_again(self) -> None:
        """Throw away what we have."""
        self._file.seek(0)
        self._file.truncate()
        self._verifier = Verifier(self._blob)
        self._answers = 0
