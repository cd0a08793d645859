"""Fuzz targets: what reads a stranger's bytes takes them, or refuses them in the one way it says it does.

`python -m tests.hostile.fuzz SECONDS [TARGET ...]` runs them for long and counts; tests/hostile/test_fuzz.py for short.
"""

from __future__ import annotations

import functools
import gzip
import io
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.errors import BuildfileError, ImageError
from builder.kernel.proxyhead import BadMessage, Body, body_of_request, body_of_response, read_request, read_response
from builder.lang.grammar import parse
from builder.lang.ignore import IgnoreRules
from builder.lang.mount import parse_mount
from builder.lang.words import expand, expand_list, expand_raw
from builder.oci.challenge import read_challenges
from builder.oci.config import read_config, write_config
from builder.oci.manifest import read_index, read_manifest
from builder.oci.transport import Deadline, Http, Patience, TransferBroken, limited_body
from builder.oci.unreachable import unreachable
from builder.source import SourceText
from builder.tree.compress import decompressor
from builder.tree.tarformat import read_entries
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.image import MEDIA_INDEX, MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD, MEDIA_MANIFEST
from builder.values.platform import Platform
from builder.values.reference import Reference
from builder.values.repository import parse_repository
from tests.hostile.mutations import Change, changed, changes
from tests.hostile.tars import attribute, file, folder, hard, link, long_file
from tests.oci.images import sample
from tests.tree.rawtar import END

LONGEST_S = 3.0
"""One input may not take longer: none is over a few KiB."""
_SAMPLE = sample()
_BUILDFILE = b"""# syntax=docker/dockerfile:1
# escape=\\
ARG V=1
FROM --platform=$BUILDPLATFORM base:${V:-2} AS one
RUN --mount=type=cache,target=/c,id=x,sharing=locked --network=none <<END bash
echo "$V" \\
  ${V##*/}
END
COPY --from=one --chown=1:2 --chmod=755 --link --parents --exclude=*.o ["a b", "c/"]
ADD --checksum=sha256:00 https://host/x#y /z
ENV A=b C="d e" F\\ G=h
HEALTHCHECK --interval=5s CMD ["x"]
ONBUILD USER u:g
LABEL a=b
EXPOSE 80/tcp 90-95/udp
SHELL ["/bin/sh","-c"]
"""
_TAR = b"".join(
    (
        folder(b"d/"),
        file(b"d/f", b"content" * 90),
        link(b"l", b"d/f"),
        hard(b"h", b"d/f"),
        long_file(b"n" * 200),
        attribute(b"user.a", b"v"),
        file(b"d/.wh.x", b""),
        END,
    )
)
_NO_DIGEST = str(Digest.of(b"")).encode()
_INDEX = (
    b'{"schemaVersion":2,"mediaType":"%b","manifests":[{"mediaType":"%b","digest":"%b","size":3,"platform":'
    b'{"os":"linux","architecture":"arm","variant":"v7"},"annotations":{"a":"b"}}]}'
) % (MEDIA_INDEX.encode(), MEDIA_MANIFEST.encode(), _NO_DIGEST)


@dataclass(frozen=True)
class Target:
    """What is fed, the errors it may raise, and good inputs to begin with."""

    name: str
    feed: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _tar(data: bytes) -> None:
    for entry, content in read_entries(io.BytesIO(data)):
        assert not entry.path.startswith(b"/") and b".." not in entry.path.split(b"/")
        for _ in content.pieces():
            pass


def _unpacked(media_type: str) -> Callable[[bytes], None]:
    def feed(data: bytes) -> None:
        with decompressor(media_type, io.BytesIO(data)) as stream:
            while stream.read(1 << 16):
                pass

    return feed


def _config(data: bytes) -> None:
    config = read_config(data)
    assert read_config(write_config(config)) == config


def _reference(data: bytes) -> None:
    name = Reference.parse(_text(data))
    assert Reference.parse(str(name)) == name
    assert Reference.parse(name.familiar) == name


def _words(data: bytes) -> None:
    scope = {"V": "1", "A": "b c", "EMPTY": ""}
    expand(_text(data), scope)
    expand_list(_text(data), scope)
    expand_raw(_text(data), scope)


def _ignore(data: bytes) -> None:
    rules = IgnoreRules.parse(_text(data), ".dockerignore")
    for path in ("a", "a/b/c.txt", "src/" + "x/" * 30 + "y", "a" * 200):
        rules.excludes(path)
        rules.may_readmit_below(path)


class _Speaker:
    """A server on loopback that answers every request with the same bytes, whatever they are."""

    def __init__(self) -> None:
        self.bytes = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/x"
        threading.Thread(target=self._speak, daemon=True).start()

    def _speak(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(1)
                try:
                    connection.recv(1 << 16)
                    connection.sendall(self.bytes)
                except OSError:
                    continue


@functools.cache
def _speaker() -> _Speaker:
    return _Speaker()


_ONCE = Patience(connect_s=1, read_s=0.5, attempts=1, back_off_s=0, longest_wait_s=0, blob_s=1, restart_s=0)


def _http(data: bytes) -> None:
    speaker = _speaker()
    speaker.bytes = data
    try:
        with Http(Access(), _ONCE).get(speaker.url, {}, {"Authorization": "x"}) as response:
            limited_body(response, 1 << 16, Deadline(time.monotonic() + 1))
    except TransferBroken as broken:
        raise unreachable(speaker.url, broken.__cause__) from broken


def _asked(data: bytes) -> None:
    """A request of a step: what goes on to a server is read there as it was read here, and so is its body's end."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    request = read_request(head + blank)
    body = body_of_request(request)
    if request.method == "CONNECT":
        return
    again = read_request(request.encoded(whole_url=True))
    assert (again.host, again.port, again.path) == (request.host, request.port, request.path)
    assert request.encoded(whole_url=False) == again.encoded(whole_url=False)
    at_once = _taken(body, rest, len(rest))
    for step in (1, 3):
        assert _taken(body_of_request(again), rest, step) == at_once


def _answered(data: bytes) -> None:
    head, blank, rest = data.partition(b"\r\n\r\n")
    answer = read_response(head + blank)
    again = read_response(answer.encoded(b"close"))
    assert again.status == answer.status
    for method in ("GET", "HEAD"):
        at_once = _taken(body_of_response(answer, method), rest, len(rest))
        assert _taken(body_of_response(again, method), rest, 1) == at_once


def _taken(body: Body, data: bytes, step: int) -> int:
    """How much of the data is the body's, given so many bytes at a time; below 0 where it is refused."""
    at = 0
    try:
        while at < len(data) and not body.ended:
            at += body.take(data[at : at + max(step, 1)])
    except BadMessage:
        return -1
    return at


_MANIFEST = _SAMPLE.blobs[_SAMPLE.image.manifest.digest]
_CONFIG = _SAMPLE.blobs[_SAMPLE.image.config_descriptor.digest]
_CHALLENGE = b'Bearer realm="https://a/t",service="s",scope="repository:x:pull", Basic realm=x'
_ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: a/b\r\nDocker-Content-Digest: sha256:0\r\n\r\nhello",
    b"HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm=x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 307 There\r\nLocation: /y\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 206 Part\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 3-4/5\r\n\r\n2\r\nab\r\n0\r\n\r\n",
)
_ASKED = (
    b"POST http://u:p@h.test:8/a?b HTTP/1.1\r\nHost: x\r\nConnection: close, te\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n",
    b"GET http://[::1]/ HTTP/1.0\r\nContent-Length: 3\r\nConnection: content-length\r\n\r\nabcGET http://y/",
    b"CONNECT h.test:443 HTTP/1.1\r\nHost: h.test:443\r\n\r\n",
)
_REFERENCES = (b"debian", b"127.0.0.1:5000/a/b-c:t.1@" + _NO_DIGEST)
_REPOSITORIES = (b"https://h/x.git#ref:dir", b"git@h:a/b.git?tag=1")
_MOUNTS = (b"type=cache,target=/c,id=x,sharing=locked,mode=0700,uid=1", b'type=bind,"source=a,b",rw,target=/x')
_WORDS = (b"a${V:-${A:+b}}'c'\"$V\"\\$", b"${V/a*/b}${V%%x}")

TARGETS = (
    Target("tar", _tar, (ImageError,), (_TAR, END)),
    Target("gzip", _unpacked(MEDIA_LAYER_GZIP), (ImageError,), (gzip.compress(_TAR, mtime=0),)),
    Target("zstd", _unpacked(MEDIA_LAYER_ZSTD), (ImageError,), (_SAMPLE.layer_bytes(1),)),
    Target("manifest", lambda data: read_manifest(data, MEDIA_MANIFEST), (ImageError,), (_MANIFEST,)),
    Target("index", read_index, (ImageError,), (_INDEX,)),
    Target("config", _config, (ImageError,), (_CONFIG,)),
    Target("challenge", lambda data: read_challenges(data.decode("latin-1")), (), (_CHALLENGE,)),
    Target("step-request", _asked, (BadMessage,), _ASKED),
    Target("step-answer", _answered, (BadMessage,), _ANSWERS),
    Target("http", _http, (ImageError,), _ANSWERS),
    Target("reference", _reference, (ValueError,), _REFERENCES),
    Target("platform", lambda data: Platform.parse(_text(data)), (ValueError,), (b"linux/arm/v7",)),
    Target("repository", lambda data: parse_repository(_text(data)), (ValueError,), _REPOSITORIES),
    Target("buildfile", lambda data: parse(SourceText("Buildfile", _text(data))), (BuildfileError,), (_BUILDFILE,)),
    Target("words", _words, (BuildfileError,), _WORDS),
    Target("mount", lambda data: parse_mount(_text(data)), (BuildfileError,), _MOUNTS),
    Target("ignore", _ignore, (BuildfileError,), (b"*.o\n!keep.o\n**/x/[a-z]?\n/a/b\n# c\n\\#d",)),
)


def runner(target: Target, examples: int, count: Callable[[], None] = lambda: None) -> Callable[[], None]:
    """A function that feeds so many inputs to a target. It raises what the target may not."""

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(seed=st.sampled_from(target.seeds) | st.binary(max_size=64), wanted=changes())
    def run(seed: bytes, wanted: list[Change]) -> None:
        data = changed(seed, wanted)
        count()
        start = time.monotonic()
        try:
            target.feed(data)
        except target.refusals:
            pass
        assert time.monotonic() - start < LONGEST_S, data

    return run


def main(words: list[str]) -> int:
    """Run each target for its share of the time and print how many inputs it took."""
    seconds, names = float(words[0]), words[1:]
    chosen = [target for target in TARGETS if not names or target.name in names]
    for target in chosen:
        print(f"{target.name:12} {_fed(target, seconds / len(chosen)):>10} inputs, no surprise", flush=True)
    return 0


def _fed(target: Target, seconds: float) -> int:
    """Feed a target for so long; how many inputs that were."""
    executions = 0

    def count() -> None:
        nonlocal executions
        executions += 1

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        runner(target, 2000, count)()
    return executions


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
