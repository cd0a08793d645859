"""One repository of the scripted server that takes uploads as the specification says, or as badly as a test wants."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.oci.rogue import Answer, Exchange, Rogue

NAME = "depot"


@dataclass
class Depot:
    """What the repository has, and how it misbehaves. `cuts` are for the next requests with a body: so many bytes of it
    arrive, and the connection breaks. `bodies` are the methods, ranges and sizes of those that arrived whole.
    """

    blobs: dict[str, bytes] = field(default_factory=dict)
    sessions: dict[str, bytearray] = field(default_factory=dict)
    elsewhere: dict[str, bytes] = field(default_factory=dict)  # what can be mounted
    cuts: list[int] = field(default_factory=list)
    refusals: list[Answer] = field(default_factory=list)  # for the next requests with a body, after it was read
    limit: int = 1 << 62  # a larger body is too large
    forgets: bool = False  # what a broken request brought is lost, and its session with it
    least: int = 0  # OCI-Chunk-Min-Length
    host: str = ""  # where sessions lie, if elsewhere
    bodies: list[tuple[str, str, int]] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)  # repositories that somebody wanted to mount from

    def open_at(self, rogue: Rogue) -> None:
        """Answer at that server from now on."""
        rogue.routes[f"/v2/{NAME}/blobs/uploads/"] = self._begin
        for digest in list(self.blobs):
            rogue.routes[f"/v2/{NAME}/blobs/{digest}"] = self._blob
        for number in range(20):
            rogue.routes[f"/sessions/{number}"] = self._session

    def watch(self, rogue: Rogue, digest: str) -> None:
        """Answer for this blob too."""
        rogue.routes[f"/v2/{NAME}/blobs/{digest}"] = self._blob

    def _blob(self, exchange: Exchange) -> None:
        data = self.blobs.get(exchange.path.rpartition("/")[2])
        exchange.send(404) if data is None else exchange.send(200, data)

    def _begin(self, exchange: Exchange) -> None:
        query = parse_qs(urlsplit(exchange.path).query)
        if "mount" in query:
            self.mounts.append(query["from"][0])
            digest = query["mount"][0]
            if digest in self.elsewhere:
                self.blobs[digest] = self.elsewhere[digest]
                return exchange.send(201, Docker_Content_Digest=digest)
        name = f"/sessions/{len(self.sessions)}"
        self.sessions[name] = bytearray()
        return self._accept(exchange, name, 202)

    def _accept(self, exchange: Exchange, name: str, status: int) -> None:
        there = len(self.sessions[name])
        headers: dict[str, str | int] = {"OCI_Chunk_Min_Length": self.least} if self.least else {}
        headers |= {"Location": f"{self.host}{name}?state={there}", "Range": f"0-{max(0, there - 1)}"}
        exchange.begin(status, Content_Length=0, **headers)

    def _session(self, exchange: Exchange) -> None:
        name = urlsplit(exchange.path).path
        have = self.sessions.get(name)
        if exchange.method == "DELETE" or have is None:
            self.sessions.pop(name, None)
            return exchange.send(404 if have is None else 204)
        if exchange.method == "GET":
            return self._accept(exchange, name, 204)
        return self._take(exchange, name, have)

    def _take(self, exchange: Exchange, name: str, have: bytearray) -> None:
        size = int(exchange.headers["Content-Length"])
        if size > self.limit:
            return exchange.send(413)
        if size and self.cuts:
            part = exchange.read_some(self.cuts.pop(0))
            if self.forgets:
                del self.sessions[name]
            else:
                have += part
            return exchange.hang_up()
        wanted = exchange.headers.get("Content-Range", "")
        if wanted and int(wanted.partition("-")[0]) != len(have):
            return self._accept(exchange, name, 416)
        have += exchange.read()
        self.bodies.append((exchange.method, wanted, size))
        if self.refusals:
            return self.refusals.pop(0)(exchange)
        if exchange.method == "PATCH":
            return self._accept(exchange, name, 202)
        return self._finish(exchange, bytes(have))

    def _finish(self, exchange: Exchange, data: bytes) -> None:
        query = parse_qs(urlsplit(exchange.path).query)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if query["digest"] != [digest] or "state" not in query:
            return exchange.send(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"digest did not match"}]}')
        self.blobs[digest] = data
        return exchange.send(201, Docker_Content_Digest=digest)
