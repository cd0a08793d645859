"""Blobs on their way from a registry."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from builder.errors import ImageError
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
    silent,
    status,
    trickle,
)

DATA = os.urandom(3 << 20)
BLOB = Descriptor(MEDIA_LAYER, Digest.of(DATA), len(DATA))
PATH = f"/v2/app/blobs/{BLOB.digest}"


@pytest.fixture
def source(rogue: Rogue) -> RegistrySource:
    """A source whose only blob is answered as the test says."""
    return RegistrySource(Reference.parse(f"{rogue.address}/app:1"), patience=QUICK)


def wrong_part(exchange: Exchange) -> None:
    """Another part of the blob than was asked for."""
    exchange.send(206, DATA, Content_Range=f"bytes 0-{len(DATA) - 1}/{len(DATA)}")


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
        (body(DATA[:-1] + bytes([DATA[-1] ^ 1])), "is damaged: what arrived is sha256:"),
        (body(DATA + b"x"), f"more than the {len(DATA)} bytes announced"),
        (endless, f"more than the {len(DATA)} bytes announced"),
        (body(DATA[:1000]), f"truncated: .* of {len(DATA)} bytes|connection to .* broke"),
        (in_turn(cut_after(DATA, 1000), status(416)), "holds less of a blob"),
        (in_turn(cut_after(DATA, 1000), wrong_part), "another part of the blob"),
        (cut_after(DATA, 0), "connection to .* broke|truncated"),
        (status(404), "was not found"),
        (status(500), "answers 500"),
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
