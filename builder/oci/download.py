"""A blob on its way from a registry: written as it comes, taken up again where a transfer broke."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, BinaryIO

from builder.errors import ImageError
from builder.oci.client import Client
from builder.oci.source import Progress
from builder.oci.transport import TransferBroken, pieces, shown
from builder.oci.unreachable import unreachable
from builder.oci.verify import Verifier, truncated
from builder.values.image import Descriptor

if TYPE_CHECKING:
    import requests

_RANGE = re.compile(r"bytes ([0-9]{1,18})-")


class Download:
    """One blob into one open file. `run` is called once."""

    def __init__(self, client: Client, blob: Descriptor, file: BinaryIO, progress: Progress) -> None:
        self._client = client
        self._blob = blob
        self._file = file
        self._progress = progress
        self._verifier = Verifier(blob)

    def run(self) -> None:
        """Fetch all of it, verified. Raises ImageError; attempts are counted anew whenever bytes arrived."""
        patience = self._client.http.patience
        deadline = patience.deadline_for(self._blob.size)
        attempt = 0
        while True:
            before = self._verifier.count
            failure = self._go_on(deadline)
            if failure is None:
                return self._verifier.finish()
            attempt = 1 if self._verifier.count > before else attempt + 1
            if attempt >= patience.attempts or time.monotonic() > deadline:
                raise failure
            self._client.http.wait(attempt, "")

    def _go_on(self, deadline: float) -> ImageError | None:
        """One request for what is missing; the error to give up with where it did not bring everything."""
        url = self._client.url("blobs", str(self._blob.digest))
        start = self._verifier.count
        headers = {"Range": f"bytes={start}-"} if start else {}
        try:
            with self._client.get(url, headers) as response:
                if start and not _starts_at(response, start):
                    self._start_again()
                for piece in pieces(response, deadline):
                    self._verifier.feed(piece)
                    self._file.write(piece)
                    self._progress(self._verifier.count)
        except TransferBroken as broken:
            if self._verifier.count < self._blob.size:
                return unreachable(url, broken.__cause__)
        return None if self._verifier.count == self._blob.size else truncated(self._blob, self._verifier.count)

    def _start_again(self) -> None:
        """The server does not know ranges: what we have is thrown away."""
        self._file.seek(0)
        self._file.truncate()
        self._verifier = Verifier(self._blob)


def _starts_at(response: requests.Response, start: int) -> bool:
    """Whether the answer is the part from `start` on. Raises ImageError for some other part."""
    if response.status_code != 206:
        return False
    match = _RANGE.match(response.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != start:
        raise ImageError(f"{shown(response.url)} answers with another part of the blob than was asked for")
    return True
