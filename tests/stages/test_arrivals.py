"""Blobs on their way into the store."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from builder.errors import ImageError, StoreError
from builder.oci.lanes import Halted, go_on
from builder.oci.source import Progress
from builder.stages.arrivals import Arrivals
from builder.store import Store
from builder.values.digest import Digest
from builder.values.event import Event, Transfer
from builder.values.image import MEDIA_LAYER, Descriptor, Image
from builder.values.platform import Platform

DATA = b"the bytes of a layer" * 1000
BLOB = Descriptor(MEDIA_LAYER, Digest.of(DATA), len(DATA))


class Slow:
    """A source that takes its time and counts who asks."""

    name = "slow"

    def __init__(self) -> None:
        self.fetched = 0
        self.fails = False

    def load(self, platform: Platform) -> Image:
        raise AssertionError(f"nobody asks for an image for {platform}")

    def documents(self, image: Image) -> Iterable[tuple[Digest, bytes]]:
        raise AssertionError(f"nobody asks for the documents of {image}")

    def fetch(self, layer: Descriptor, into: Path, progress: Progress) -> None:
        self.fetched += 1
        into.write_bytes(DATA)
        for _ in range(3):
            time.sleep(0.12)
            progress(layer.size // 2)
        if self.fails:
            raise ImageError("broken")
        progress(layer.size)


def _both(*actions: threading.Thread) -> None:
    for thread in actions:
        thread.start()
    for thread in actions:
        thread.join()


def test_two_who_want_the_same_blob_fetch_it_once(tmp_path: Path) -> None:
    """The second one waits and finds it."""
    source = Slow()
    with Store.open(tmp_path / "store") as store:
        arrivals = Arrivals(store, lambda _: None)
        _both(*(threading.Thread(target=arrivals.bring, args=(BLOB, source, go_on)) for _ in range(3)))
        assert source.fetched == 1
        assert store.blobs.path(BLOB.digest).read_bytes() == DATA


def test_two_builds_on_one_store_fetch_a_blob_once(tmp_path: Path) -> None:
    """The lock is the store's: another process, here another opening of the same store, waits as well."""
    source = Slow()
    with Store.open(tmp_path / "store") as one, Store.open(tmp_path / "store") as two:
        both = (Arrivals(store, lambda _: None) for store in (one, two))
        _both(*(threading.Thread(target=arrivals.bring, args=(BLOB, source, go_on)) for arrivals in both))
    assert source.fetched == 1


def test_a_transfer_is_told_from_its_first_to_its_last_byte(tmp_path: Path) -> None:
    """It begins at nothing, grows, and has its end when the blob is in the store."""
    events: list[Event] = []
    with Store.open(tmp_path / "store") as store:

        def emit(event: Event) -> None:
            assert isinstance(event, Transfer)
            assert store.blobs.has(BLOB.digest) == (event.done == event.total)
            events.append(event)

        Arrivals(store, emit).bring(BLOB, Slow(), go_on)
    shown = [(event.verb, event.what, event.done) for event in events if isinstance(event, Transfer)]
    name, half = BLOB.digest.hex[:12], BLOB.size // 2
    assert shown == [("pull", name, done) for done in (0, half, half, half, BLOB.size)]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither under the blob's name nor under another; the next one may try at once."""
    source = Slow()
    source.fails = True
    with Store.open(tmp_path / "store") as store:
        arrivals = Arrivals(store, lambda _: None)
        with pytest.raises(ImageError, match="broken"):
            arrivals.bring(BLOB, source, go_on)
        assert not store.blobs.has(BLOB.digest)
        assert [name for name in os.listdir(store.blobs.temporary().parent) if name != "lock"] == []
        source.fails = False
        arrivals.bring(BLOB, source, go_on)
        assert arrivals.is_here(BLOB)


def test_a_full_disk(tmp_path: Path) -> None:
    """It is the store's, and the hint says how to make room there."""

    class Full(Slow):
        def fetch(self, layer: Descriptor, into: Path, progress: Progress) -> None:  # noqa: ARG002 - the protocol's
            raise StoreError(f"no space left to write {into}") from OSError(errno.ENOSPC, "full")

    with Store.open(tmp_path / "store") as store, pytest.raises(StoreError, match="no space left in the store") as full:
        Arrivals(store, lambda _: None).bring(BLOB, Full(), go_on)
    assert BLOB.digest.hex[:12] in full.value.message and "pybuild prune --all" in (full.value.hint or "")


def test_what_is_no_longer_wanted_is_dropped(tmp_path: Path) -> None:
    """A check that raises ends the transfer and the wait for somebody else's."""

    def halt() -> None:
        raise Halted

    with Store.open(tmp_path / "store") as store:
        arrivals = Arrivals(store, lambda _: None)
        with pytest.raises(Halted):
            arrivals.bring(BLOB, Slow(), halt)
        with store.blobs.arriving(BLOB.digest, go_on), pytest.raises(Halted):
            arrivals.bring(BLOB, Slow(), halt)
        assert not store.blobs.has(BLOB.digest)
