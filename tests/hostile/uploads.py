"""Cases: registries that take what is pushed in their own way."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from tests.hostile.outcomes import Accepted, Case, Refused
from tests.hostile.server import Answer, Call, Server, endless, hang_up, in_turn, status
from tests.oci.images import Sample

Arrange = Callable[[Server, Sample], None]
_UPLOADS = "/v2/app/blobs/uploads/"


@dataclass
class Shelf:
    """A registry that takes pushes rightly, until a case spoils it."""

    server: Server
    blobs: dict[str, bytes] = field(default_factory=dict)

    def open(self) -> None:
        """Answer to all that a push asks."""
        self.server.routes.clear()
        self.server.routes |= {
            "/v2/": status(200),
            f"POST {_UPLOADS}": self.begin,
            "HEAD /v2/app/blobs/*": self.look,
            "PUT /v2/app/blobs/uploads/*": self.finish,
            "PATCH /v2/app/blobs/uploads/*": self.more,
            "GET /v2/app/blobs/uploads/*": self.tell,
            "PUT /v2/app/manifests/*": self.manifest,
        }

    def begin(self, call: Call) -> None:
        """A session of its own for each blob."""
        call.read_body()
        call.answer(202, Location=f"{_UPLOADS}{len(self.server.calls)}", Docker_Upload_UUID="x", Range="0-0")

    def look(self, call: Call) -> None:
        """Nothing is here yet, or what was sent is."""
        data = self.blobs.get(call.path.rpartition("/")[2])
        call.answer(404 if data is None else 200, data or b"")

    def finish(self, call: Call) -> None:
        """The end of an upload, with all of it or with the rest."""
        data = self.blobs.pop(call.path, b"") + call.read_body()
        digest = parse_qs(call.query).get("digest", [""])[0]
        if digest != f"sha256:{hashlib.sha256(data).hexdigest()}":
            call.answer(400, b'{"errors":[{"code":"DIGEST_INVALID"}]}')
            return
        self.blobs[digest] = data
        call.answer(201, Docker_Content_Digest=digest)

    def more(self, call: Call) -> None:
        """A part of an upload."""
        self.blobs[call.path] = self.blobs.get(call.path, b"") + call.read_body()
        call.answer(202, Location=call.path, Range=f"0-{len(self.blobs[call.path]) - 1}")

    def tell(self, call: Call) -> None:
        """How far an upload has come."""
        call.answer(204, Location=call.path, Range=f"0-{max(0, len(self.blobs.get(call.path, b'')) - 1)}")

    def manifest(self, call: Call) -> None:
        """The manifest, after all that it needs."""
        data = call.read_body()
        call.answer(201, Docker_Content_Digest=f"sha256:{hashlib.sha256(data).hexdigest()}")


def _spoilt(**routes: Answer) -> Arrange:
    """Answers in the place of good ones, by the Shelf's names for them."""

    def arrange(server: Server, _: Sample) -> None:
        shelf = Shelf(server)
        shelf.open()
        keys = {getattr(answer, "__name__", ""): key for key, answer in server.routes.items()}
        for name, answer in routes.items():
            server.routes[keys[name]] = answer

    return arrange


def _first(name: str, *answers: Answer) -> Arrange:
    """These answers first, then the good one."""

    def arrange(server: Server, _: Sample) -> None:
        shelf = Shelf(server)
        shelf.open()
        key = next(key for key, answer in server.routes.items() if getattr(answer, "__name__", "") == name)
        server.routes[key] = in_turn(*answers, server.routes[key])

    return arrange


def _reads_first(answer: Answer) -> Answer:
    """Take the body before answering, as a polite server does."""

    def polite(call: Call) -> None:
        call.read_body()
        answer(call)

    return polite


def _cut(call: Call) -> None:
    """Take a little of it, and reset the connection."""
    call.read_body(10)
    call.abort()


def _half_and_cut(server: Server, image: Sample) -> None:
    """The first PUT of each upload dies after ten bytes; the session remembers them."""
    shelf = Shelf(server)
    shelf.open()
    seen: set[str] = set()

    def finish(call: Call) -> None:
        if call.path not in seen:
            seen.add(call.path)
            shelf.blobs[call.path] = call.read_body(10)[:10]
            call.abort()
        else:
            shelf.finish(call)

    server.routes["PUT /v2/app/blobs/uploads/*"] = finish
    assert image


def _location(text: str) -> Answer:
    return _reads_first(lambda call: call.answer(202, Location=text))


def _other_host(server: Server, _: Sample) -> None:
    """The upload goes to another origin, which must not see what the registry was given as a login."""
    shelf = Shelf(server)
    shelf.open()
    port = server.address.rpartition(":")[2]
    good = dict(server.routes)

    def login(answer: Answer) -> Answer:
        def guarded(call: Call) -> None:
            if "authorization" not in call.headers:
                call.answer(401, WWW_Authenticate='Basic realm="x"')
            else:
                answer(call)

        return guarded

    def finish(call: Call) -> None:
        if "authorization" in call.headers:
            call.answer(418)
        else:
            shelf.finish(call)

    server.routes |= {key: login(answer) for key, answer in good.items()}
    server.routes[f"POST {_UPLOADS}"] = login(
        lambda call: call.answer(202, Location=f"http://localhost:{port}{_UPLOADS}{len(server.calls)}?state=s")
    )
    server.routes["PUT /v2/app/blobs/uploads/*"] = finish


def _silent(_: Call) -> None:
    time.sleep(20)


CASES = (
    Case("all is well", _spoilt(), Accepted()),
    Case(
        "everything is there already, it says",
        _spoilt(
            look=status(200),
            manifest=status(400, b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown"}]}'),
        ),
        Refused("400|unknown|refuses"),
    ),
    Case("HEAD says 500 twice", _first("look", status(500), status(500)), Accepted()),
    Case("HEAD says 405", _spoilt(look=status(405)), Refused("405")),
    Case("POST says 429 once", _first("begin", status(429, Retry_After=1)), Accepted()),
    Case("POST without a Location", _spoilt(begin=_reads_first(status(202))), Refused("no usable place")),
    Case(
        "POST that is forbidden",
        _spoilt(begin=_reads_first(status(403, b'{"errors":[{"message":"read only"}]}'))),
        Refused("403"),
    ),
    Case("POST that is unknown", _spoilt(begin=_reads_first(status(404))), Refused("404|not found")),
    Case("Location that is a file", _spoilt(begin=_location("file:///etc/passwd")), Refused("")),
    Case("Location that is nonsense", _spoilt(begin=_location("http://[")), Refused("")),
    Case("Location of 60,000 letters", _spoilt(begin=_location("/" + "x" * 60_000)), Refused("")),
    Case("Location that paints", _spoilt(begin=_location("/v2/\x1b[2J")), Refused("")),
    Case("Location on another host", _other_host, Accepted()),
    Case("PUT after 500 twice", _first("finish", _reads_first(status(500)), _reads_first(status(500))), Accepted()),
    Case("PUT that answers before it reads", _first("finish", status(503), status(503)), Accepted()),
    Case("PUT that says 200 and nothing", _spoilt(finish=hang_up), Refused("broke|connection|answer")),
    Case("PUT that never answers", _spoilt(finish=_silent), Refused("time")),
    Case("PUT that answers without an end", _spoilt(finish=_reads_first(endless)), Accepted()),
    Case("PUT that is too large", _spoilt(finish=_reads_first(status(413))), Refused("413|large")),
    Case("PUT that is cut every time", _spoilt(finish=_cut, more=_cut), Refused("broke|connection")),
    Case("PUT that is cut once", _half_and_cut, Accepted()),
    Case(
        "PUT that denies the digest",
        _spoilt(finish=_reads_first(status(400, b'{"errors":[{"code":"DIGEST_INVALID"}]}'))),
        Refused("400|digest|refuses"),
    ),
    Case(
        "PUT in a ring of redirects",
        _spoilt(finish=_reads_first(lambda call: call.answer(307, Location=call.path))),
        Refused("redirect"),
    ),
    Case(
        "session that has more than was sent",
        _spoilt(finish=_cut, more=_cut, tell=status(204, Range="0-99999999")),
        Refused(""),
    ),
    Case("session that counts backwards", _spoilt(finish=_cut, more=_cut, tell=status(204, Range="9-0")), Refused("")),
    Case("session of nonsense", _spoilt(finish=_cut, more=_cut, tell=status(204, Range="bytes=a-b")), Refused("")),
    Case("session that is gone", _spoilt(finish=_cut, more=_cut, tell=status(404)), Refused("")),
    Case(
        "manifest refused in colour",
        _spoilt(manifest=_reads_first(status(400, b'{"errors":[{"message":"\\u001b[31mno\\nreally"}]}'))),
        Refused("400|refuses"),
    ),
    Case(
        "manifest stored under another digest",
        _spoilt(manifest=_reads_first(status(201, Docker_Content_Digest="sha256:" + "0" * 64))),
        Refused("not what was sent"),
    ),
    Case("manifest after 500 once", _first("manifest", _reads_first(status(500))), Accepted()),
    Case(
        "manifest that wants a login",
        _spoilt(manifest=_reads_first(status(401, WWW_Authenticate='Basic realm="x"'))),
        Refused("login|log in|401"),
    ),
    Case(
        "manifest redirected elsewhere in plain words",
        _spoilt(manifest=_reads_first(status(307, Location="http://evil.example/v2/app/manifests/1"))),
        Refused(""),
    ),
)
