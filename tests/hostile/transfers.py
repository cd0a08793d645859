"""Cases: blobs, redirects, logins and HTTP itself."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable

from builder.values.digest import Digest
from builder.values.image import MEDIA_LAYER_GZIP, MEDIA_MANIFEST
from tests.hostile.outcomes import Accepted, Case, Refused
from tests.hostile.server import (
    MANIFEST,
    Answer,
    Call,
    Server,
    blob,
    content,
    cut,
    endless,
    hang_up,
    in_turn,
    json_document,
    raw,
    status,
)
from tests.oci.images import Sample, sample

Arrange = Callable[[Server, Sample], None]


def _first_layer(answer: Callable[[bytes], Answer]) -> Arrange:
    def arrange(server: Server, image: Sample) -> None:
        digest = image.image.layers[0].descriptor.digest
        server.routes[blob(digest)] = answer(image.layer_bytes(0))

    return arrange


def _everything(answer: Answer) -> Arrange:
    def arrange(server: Server, _: Sample) -> None:
        server.routes.clear()
        server.routes["/*"] = answer

    return arrange


def _other_layer(change: Callable[[bytes], bytes]) -> Arrange:
    """A whole image whose first layer's blob was made otherwise; all digests of blobs are right, diff-ids are not."""

    def arrange(server: Server, _: Sample) -> None:
        made = sample(media_types=(MEDIA_LAYER_GZIP,))
        data = change(made.layer_bytes(0))
        value = {
            "schemaVersion": 2,
            "mediaType": MEDIA_MANIFEST,
            "config": _point(made, made.image.config_descriptor.digest, "application/vnd.oci.image.config.v1+json"),
            "layers": [{"mediaType": MEDIA_LAYER_GZIP, "digest": str(Digest.of(data)), "size": len(data)}],
        }
        server.serve(made)
        server.routes[MANIFEST] = json_document(value, MEDIA_MANIFEST)
        server.routes[blob(Digest.of(data))] = content(data)

    return arrange


def _point(made: Sample, digest: Digest, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(digest), "size": len(made.blobs[digest])}


def _part(start: int, code: int) -> Callable[[bytes], Answer]:
    """Cut the first time; then a part that begins elsewhere than asked."""

    def again(data: bytes) -> Answer:
        return lambda call: call.answer(code, data[start:], Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")

    return lambda data: in_turn(cut(data, len(data) // 2), again(data))


def _redirect(location: str) -> Answer:
    return lambda call: call.answer(307, Location=location)


def _ring(call: Call) -> None:
    call.answer(302, Location=call.path)


def _slow_head(call: Call) -> None:
    """A head that comes a letter at a time and never ends."""
    call.raw(b"HTTP/1.1 200 OK\r\n")
    for _ in range(600):
        if not call.raw(b"a"):
            return
        time.sleep(0.05)


def _continue_for_ever(call: Call) -> None:
    while call.raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 100):
        pass


def _trickle(call: Call) -> None:
    call.head(200)
    for _ in range(600):
        if not call.raw(b"x"):
            return
        time.sleep(0.05)


def _silent(_: Call) -> None:
    time.sleep(20)


def _chunks_for_ever(call: Call) -> None:
    call.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while call.raw(b"1\r\nx\r\n" * 1000):
        pass


def _challenge(realm: str) -> Answer:
    return status(401, WWW_Authenticate=f'Bearer realm="{realm}",service="r",scope="repository:app:pull"')


def _with_token_service(service: Answer) -> Arrange:
    """Everything wants a token, and the token service is of this server."""

    def arrange(server: Server, _: Sample) -> None:
        server.routes.clear()
        server.routes["/token"] = service
        server.routes["/v2/*"] = lambda call: _challenge(f"{server.url}/token")(call)

    return arrange


def _thief(server: Server, image: Sample) -> None:
    """A blob is redirected to another port, where whoever sends a token gets nothing."""
    digest = image.image.layers[0].descriptor.digest
    good = dict(server.routes)

    def guarded(call: Call) -> None:
        if call.headers.get("authorization") != "Bearer good":
            _challenge(f"{server.url}/token")(call)
        elif call.path == blob(digest):
            _redirect(f"http://localhost:{server.address.rpartition(':')[2]}/thief")(call)
        else:
            good[call.path](call)

    server.routes.clear()
    server.routes["/token"] = json_document({"token": "good"}, "application/json")
    server.routes["/thief"] = lambda call: (
        call.answer(403) if "authorization" in call.headers else content(image.layer_bytes(0))(call)
    )
    server.routes["/v2/*"] = guarded


def _trailers_for_ever(data: bytes) -> Answer:
    """All of the blob as one chunk, and then headers behind it."""

    def answer(call: Call) -> None:
        call.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(data), data))
        while call.raw(b"X: y\r\n" * 1000):
            pass

    return answer


def _nothing_in_chunks(call: Call) -> None:
    """The length says that there is nothing, the chunks have no end."""
    call.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n")
    while call.raw(b"10000\r\n" + bytes(1 << 16) + b"\r\n"):
        pass


def _curious_storage(server: Server, image: Sample) -> None:
    """A layer lies on another port, which wants to know who we are and names a token service of its own."""
    port = server.address.rpartition(":")[2]
    digest = image.image.layers[0].descriptor.digest
    server.routes[blob(digest)] = _redirect(f"http://localhost:{port}/store")
    server.routes["/store"] = _challenge(f"{server.url}/steal")
    server.routes["/steal"] = content(b"\x1b[31mstolen")


def _large_bomb(data: bytes) -> bytes:
    """1.5 GiB of zeros in 1.5 MB: one member of 16 MiB, again and again."""
    return data + gzip.compress(bytes(16 << 20), 9, mtime=0) * 96


CASES = (
    Case("blob with other bytes", _first_layer(lambda data: content(b"x" * len(data))), Refused("damaged")),
    Case("blob that is shorter", _first_layer(lambda data: content(data[:-1])), Refused("truncated")),
    Case("blob that is longer", _first_layer(lambda data: content(data + b"x")), Refused("more than")),
    Case("blob without an end", _first_layer(lambda _: endless), Refused("more than")),
    Case("blob that is not there", _first_layer(lambda _: status(404)), Refused("not found")),
    Case("blob that is always cut at once", _first_layer(lambda data: cut(data, 0)), Refused("broke|truncated")),
    Case("blob that is forbidden", _first_layer(lambda _: status(403)), Refused("403")),
    Case(
        "blob after 500 twice", _first_layer(lambda data: in_turn(status(500), status(500), content(data))), Accepted()
    ),
    Case(
        "blob after 429 with a time",
        _first_layer(lambda data: in_turn(status(429, Retry_After=1), content(data))),
        Accepted(),
    ),
    Case("blob after a reset", _first_layer(lambda data: in_turn(Call.abort, content(data))), Accepted()),
    Case("429 that wants a year", _first_layer(lambda _: status(429, Retry_After=31536000)), Refused("429|time")),
    Case("429 whose time is nonsense", _first_layer(lambda _: status(429, Retry_After="\u00bd")), Refused("429|time")),
    Case("503 for ever", _first_layer(lambda _: status(503)), Refused("503|time")),
    Case("another part than asked for", _first_layer(_part(7, 206)), Refused("another part")),
    Case(
        "all of it with 206",
        _first_layer(lambda data: in_turn(cut(data, 9), lambda call: call.answer(206, data))),
        Refused("another part|Content-Range|damaged"),
    ),
    Case(
        "416 for the rest", _first_layer(lambda data: in_turn(cut(data, 9), status(416))), Refused("less of a blob|416")
    ),
    Case("ring of redirects", _everything(_ring), Refused("redirects")),
    Case("redirect to a file", _first_layer(lambda _: _redirect("file:///etc/passwd")), Refused("redirect")),
    Case("redirect to nowhere", _first_layer(lambda _: _redirect("http://[")), Refused("redirect")),
    Case("redirect with control characters", _first_layer(lambda _: _redirect("/\x1b[2J")), Refused("app|not found")),
    Case("redirect that would take the token along", _thief, Accepted()),
    Case("401 without a word", _everything(status(401)), Refused("401|login|log in")),
    Case(
        "401 that wants a password",
        _everything(status(401, WWW_Authenticate='Basic realm="x"')),
        Refused("login|log in|401"),
    ),
    Case(
        "401 of a kind that nobody knows",
        _everything(status(401, WWW_Authenticate="Negotiate abc")),
        Refused("login|log in|401"),
    ),
    Case("realm at a plain http host", _everything(_challenge("http://tokens.example/t")), Refused("not trusted")),
    Case("realm that is a file", _everything(_challenge("file:///etc/passwd")), Refused("no usable|not trusted")),
    Case("realm of nonsense", _everything(_challenge("::::")), Refused("no usable|not trusted")),
    Case(
        "challenge of 60,000 commas", _everything(status(401, WWW_Authenticate="Bearer " + "," * 60_000)), Refused("")
    ),
    Case(
        "token that never helps",
        _with_token_service(json_document({"token": "x"}, "application/json")),
        Refused("401|login|log in"),
    ),
    Case(
        "token with a line end",
        _with_token_service(json_document({"token": "x\r\nHost: evil"}, "application/json")),
        Refused("token"),
    ),
    Case(
        "token of 2 MB",
        _with_token_service(json_document({"token": "x" * 2_000_000}, "application/json")),
        Refused("token|MiB|large|more than"),
    ),
    Case(
        "token that is a list", _with_token_service(json_document({"token": [1]}, "application/json")), Refused("token")
    ),
    Case("token service without an end", _with_token_service(endless), Refused("")),
    Case("token service that fails", _with_token_service(status(500)), Refused("500")),
    Case("token service in a ring", _with_token_service(_ring), Refused("redirects")),
    Case("no answer", _everything(_silent), Refused("time")),
    Case("hangs up at once", _everything(hang_up), Refused("broke|connection")),
    Case("head without an end", _everything(_slow_head), Refused("time|broke")),
    Case("100 Continue for ever", _everything(_continue_for_ever), Refused("time|broke")),
    Case("letters now and then", _first_layer(lambda _: _trickle), Refused("more than|slow|time")),
    Case("chunks for ever", _first_layer(lambda _: _chunks_for_ever), Refused("more than")),
    Case(
        "chunk of a terrible size",
        _everything(raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 5000)),
        Refused("broke"),
    ),
    Case("no HTTP at all", _everything(raw(b"220 ESMTP\r\n")), Refused("broke")),
    Case("header of 10 MB", _everything(raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000_000)), Refused("broke")),
    Case(
        "100,000 headers", _everything(raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n")), Refused("broke")
    ),
    Case("negative length", _everything(status(200, Content_Length=-5)), Refused("")),
    Case(
        "body that says it is compressed",
        _everything(lambda call: call.answer(200, gzip.compress(b"{}"), Content_Encoding="gzip")),
        Refused(""),
    ),
    Case(
        "error that paints the terminal",
        _everything(status(400, b'{"errors":[{"message":"\\u001b[2Jgone\\nnext"}]}')),
        Refused("400"),
    ),
    Case("error that is a book", _everything(status(400, b"x" * 10_000_000)), Refused("400")),
    Case("layer that ends early", _other_layer(lambda data: data[:-20]), Refused("truncated|damaged|ends")),
    Case("layer that is no gzip", _other_layer(lambda _: b"nonsense" * 200), Refused("")),
    Case(
        "layer with another diff-id",
        _other_layer(lambda _: gzip.compress(b"\0" * 10240, mtime=0)),
        Refused("as its image says"),
    ),
    Case("layer with nonsense behind it", _other_layer(lambda data: data + b"nonsense" * 100), Refused("")),
    Case("layer that is a bomb", _other_layer(_large_bomb), Refused("times|bomb|grows|diff")),
    Case("trailers for ever", _first_layer(_trailers_for_ever), Refused("slow|time")),
    Case("chunks under a length of nothing", _everything(_nothing_in_chunks), Refused("MiB")),
    Case("storage that asks who we are", _curious_storage, Refused("401")),
    Case(
        "redirect to two hosts", _first_layer(lambda _: _redirect("http://127.0.0.1\\@evil.example/")), Refused("URL")
    ),
    Case(
        "Retry-After in the year 99999",
        _everything(status(503, Retry_After="Wed, 21 Oct 99999 07:28:00 GMT")),
        Refused(""),
    ),
)
