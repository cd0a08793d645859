"""Blobs on their way from a registry."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.lanes import Busy
from builder.oci.registry import RegistrySource
from builder.oci.source import ignore_progress
from builder.values.digest import Digest
from builder.values.image import MEDIA_LAYER, Descriptor
from builder.values.reference import Reference
from tests.oci.rogue import (
    QUICK,
    Answer,
    Exchange,
    Rogue,
    body,
    cut_after,
    endless,
    in_turn,
    ranges,
    redirect,
    running_rogue,
    silent,
    status,
    trickle,
)
from tests.registry import free_port, running_registry

DATA = os.urandom(3 << 20)
BLOB = Descriptor(MEDIA_LAYER, Digest.of(DATA), len(DATA))
PATH = f"/v2/app/blobs/{BLOB.digest}"


@pytest.fixture
def source(rogue: Rogue) -> RegistrySource:
    """A source whose only blob is answered as the test says."""
    return RegistrySource(Reference.parse(f"{rogue.address}/app:1"), patience=QUICK)


def part(start: int, size: int = len(DATA)) -> Answer:
    """The part from `start`, whatever was asked for, of a blob that is said to have `size` bytes."""
    return lambda exchange: exchange.send(206, DATA[start:], Content_Range=f"bytes {start}-{len(DATA) - 1}/{size}")


def upload(url: str, data: bytes) -> None:
    """Put a blob into a real registry."""
    with urllib.request.urlopen(urllib.request.Request(url, method="POST")) as begun:
        place = f"{begun.headers['Location']}&digest={Digest.of(data)}"
    headers = {"Content-Type": "application/octet-stream"}
    with urllib.request.urlopen(urllib.request.Request(place, data, headers, method="PUT")) as ended:
        assert ended.status == 201


DAMAGED = DATA[:-1] + bytes([DATA[-1] ^ 1])
TEN = cut_after(DATA, 10)


def test_a_blob_arrives_with_progress(rogue: Rogue, source: RegistrySource, tmp_path: Path) -> None:
    """All bytes, and a progress that only grows and ends at the size."""
    rogue.routes[PATH] = body(DATA)
    seen: list[int] = []
    source.fetch(BLOB, tmp_path / "blob", seen.append)
    assert (tmp_path / "blob").read_bytes() == DATA
    assert seen == sorted(seen)
    assert seen[-1] == len(DATA)


def test_a_broken_transfer_is_resumed(rogue: Rogue, source: RegistrySource, tmp_path: Path) -> None:
    """What has arrived is not asked for again."""
    asked: list[str | None] = []

    def noted(exchange: Exchange) -> None:
        asked.append(exchange.headers.get("Range"))
        ranges(DATA)(exchange)

    rogue.routes[PATH] = in_turn(cut_after(DATA, 1 << 20), noted)
    source.fetch(BLOB, tmp_path / "blob", ignore_progress)
    assert (tmp_path / "blob").read_bytes() == DATA
    assert asked == [f"bytes={1 << 20}-"]


def test_a_server_without_ranges_starts_again(rogue: Rogue, source: RegistrySource, tmp_path: Path) -> None:
    """Where the whole blob comes instead of the rest, the file is begun anew."""
    rogue.routes[PATH] = in_turn(cut_after(DATA, 1 << 20), body(DATA))
    source.fetch(BLOB, tmp_path / "blob", ignore_progress)
    assert (tmp_path / "blob").read_bytes() == DATA


def test_a_transfer_that_keeps_making_progress_is_finished(
    rogue: Rogue, source: RegistrySource, tmp_path: Path
) -> None:
    """Attempts are counted anew whenever bytes arrived: more breaks than attempts are no harm."""

    def bit_by_bit(exchange: Exchange) -> None:
        start = int((exchange.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        left = DATA[start:]
        exchange.begin(206 if start else 200, Content_Length=len(left), Content_Range=f"bytes {start}-/*")
        exchange.write(left[: len(DATA) // 6 + 1])
        exchange.hang_up()

    rogue.routes[PATH] = bit_by_bit
    source.fetch(BLOB, tmp_path / "blob", ignore_progress)
    assert (tmp_path / "blob").read_bytes() == DATA


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (body(DAMAGED), "is damaged: what arrived is sha256:"),
        (body(DATA + b"x"), f"more than the {len(DATA)} bytes announced"),
        (endless, f"more than the {len(DATA)} bytes announced"),
        (body(DATA[:1000]), f"truncated: .* of {len(DATA)} bytes|connection to .* broke"),
        (in_turn(TEN, status(416), TEN, status(416)), "holds less of a blob"),
        (in_turn(TEN, part(5), TEN, part(5)), "another part of the blob"),
        (in_turn(TEN, part(10, 11), TEN, part(10, 11)), "another part of the blob"),
        (in_turn(TEN, ranges(DAMAGED), TEN, ranges(DAMAGED)), "is damaged: what arrived is sha256:"),
        (in_turn(TEN, ranges(DATA + b"x"), TEN, ranges(DATA + b"x")), "more than the .* bytes announced|another part"),
        (part(5), "another part of the blob"),
        (lambda exchange: exchange.send(206, DATA), "another part of the blob"),
        (cut_after(DATA, 0), "connection to .* broke|truncated"),
        (status(404), "was not found"),
        (status(500), "answers 500"),
        (in_turn(TEN, status(503)), "answers 503"),
        (status(403), "does not let us|403"),
        (status(429), "no more requests"),
        (silent, "does not answer in time"),
        (trickle, "too slow"),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_no_file(
    rogue: Rogue, source: RegistrySource, tmp_path: Path, answer: Answer, words: str
) -> None:
    """Damage, floods, cuts, silence: bounded in time and bytes, with the image's name, and nothing on disk."""
    rogue.routes[PATH] = answer
    with pytest.raises(ImageError, match=words) as caught:
        source.fetch(BLOB, tmp_path / "blob", ignore_progress)
    assert "app:1" in caught.value.message
    assert "\n" not in caught.value.message
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "second",
    [status(416), part(5), part(10, 11), lambda exchange: exchange.send(206, DATA[10:]), ranges(DAMAGED)],
    ids=["416", "another part", "another size", "no range told", "damaged rest"],
)
def test_parts_that_do_not_fit_are_thrown_away(
    rogue: Rogue, source: RegistrySource, tmp_path: Path, second: Answer
) -> None:
    """Whatever went wrong between the parts, the blob is asked for once more from its first byte."""
    asked: list[str | None] = []

    def noted(exchange: Exchange) -> None:
        asked.append(exchange.headers.get("Range"))
        body(DATA)(exchange)

    rogue.routes[PATH] = in_turn(TEN, second, noted)
    source.fetch(BLOB, tmp_path / "blob", ignore_progress)
    assert (tmp_path / "blob").read_bytes() == DATA
    assert asked == [None]


def test_damage_in_one_piece_is_told_at_once(rogue: Rogue, source: RegistrySource, tmp_path: Path) -> None:
    """A blob that came in one answer is what the registry has: nothing is asked again."""
    rogue.routes[PATH] = body(DAMAGED)
    with pytest.raises(ImageError, match="is damaged"):
        source.fetch(BLOB, tmp_path / "blob", ignore_progress)
    assert rogue.count(PATH) == 1


def test_a_part_without_being_asked(rogue: Rogue, source: RegistrySource, tmp_path: Path) -> None:
    """A 206 that is the whole blob, or its beginning, is taken as that."""
    beginning = f"bytes 0-999/{len(DATA)}"
    rogue.routes[PATH] = in_turn(
        lambda exchange: exchange.send(206, DATA[:1000], Content_Range=beginning), ranges(DATA)
    )
    source.fetch(BLOB, tmp_path / "blob", ignore_progress)
    assert (tmp_path / "blob").read_bytes() == DATA


def test_an_expired_link_is_asked_for_anew(rogue: Rogue, source: RegistrySource, tmp_path: Path) -> None:
    """Storage that refuses a signed link (403) is no refusal of the registry's: it gives a new one."""
    with running_rogue() as storage:
        storage.routes["/old"] = in_turn(cut_after(DATA, 1 << 20), status(403))
        storage.routes["/new"] = ranges(DATA)
        old, new = redirect(f"{storage.url}/old?signature=a"), redirect(f"{storage.url}/new?signature=b")
        rogue.routes[PATH] = in_turn(old, old, new)
        source.fetch(BLOB, tmp_path / "blob", ignore_progress)
    assert (tmp_path / "blob").read_bytes() == DATA


def test_links_that_never_work(rogue: Rogue, source: RegistrySource, tmp_path: Path) -> None:
    """The error names the storage, and no secret of the link."""
    with running_rogue() as storage:
        storage.routes["/old"] = status(403)
        rogue.routes[PATH] = redirect(f"{storage.url}/old?signature=hush")
        with pytest.raises(ImageError, match=r"/old does not give out") as caught:
            source.fetch(BLOB, tmp_path / "blob", ignore_progress)
    assert "hush" not in caught.value.message
    assert "clock" in (caught.value.hint or "")


def test_a_failing_gateway_in_the_middle(rogue: Rogue, source: RegistrySource, tmp_path: Path) -> None:
    """What stands before a registry that restarts answers 503 for a while; what has come is kept."""
    asked: list[str | None] = []

    def noted(exchange: Exchange) -> None:
        asked.append(exchange.headers.get("Range"))
        ranges(DATA)(exchange)

    rogue.routes[PATH] = in_turn(cut_after(DATA, 1 << 20), *[status(503)] * (QUICK.attempts + 1), noted)
    source.fetch(BLOB, tmp_path / "blob", ignore_progress)
    assert (tmp_path / "blob").read_bytes() == DATA
    assert asked == [f"bytes={1 << 20}-"]


def test_too_many_requests_are_told_apart(rogue: Rogue, source: RegistrySource, tmp_path: Path) -> None:
    """Who carries several blobs at a time can see that fewer would do."""
    rogue.routes[PATH] = status(429)
    with pytest.raises(Busy, match="app:1"):
        source.fetch(BLOB, tmp_path / "blob", ignore_progress)


@pytest.mark.clients
def test_a_registry_killed_in_the_middle(tmp_path: Path) -> None:
    """A real registry is killed while a blob comes and is away for two seconds: the rest follows, nothing twice."""
    data = os.urandom(48 << 20)
    port = free_port()
    seen: list[int] = []
    with contextlib.ExitStack() as server:
        address = server.enter_context(running_registry(tmp_path, port=port))
        upload(f"http://{address}/v2/app/blobs/uploads/", data)
        source = RegistrySource(Reference.parse(f"{address}/app:1"))

        def watch(done: int) -> None:
            if not seen:
                server.close()  # kill -9, while nearly all of it is still to come
                threading.Timer(2, server.enter_context, [running_registry(tmp_path, port=port)]).start()
            seen.append(done)

        begun = time.monotonic()
        (tmp_path / "into").mkdir()
        source.fetch(Descriptor(MEDIA_LAYER, Digest.of(data), len(data)), tmp_path / "into" / "blob", watch)
    assert 2 < time.monotonic() - begun < 20
    assert (tmp_path / "into" / "blob").read_bytes() == data
    assert seen == sorted(seen)


def test_blobs_arrive_at_the_same_time(rogue: Rogue, source: RegistrySource, tmp_path: Path) -> None:
    """One source serves several threads."""
    blobs = [os.urandom(200_000) for _ in range(8)]
    for blob in blobs:
        rogue.routes[f"/v2/app/blobs/{Digest.of(blob)}"] = body(blob)

    def fetch(number: int) -> None:
        blob = blobs[number]
        source.fetch(Descriptor(MEDIA_LAYER, Digest.of(blob), len(blob)), tmp_path / str(number), ignore_progress)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(tmp_path / str(number)).read_bytes() for number in range(8)] == blobs
