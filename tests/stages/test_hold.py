"""Blobs on their way from a source to a destination."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.layout import LayoutSource, blobs_of, write_layout
from builder.stages.hold import Hold
from builder.store import Store
from builder.values.digest import Digest
from builder.values.event import Transfer
from builder.values.reference import Reference
from tests.oci.images import AMD64, Sample, sample
from tests.stages.builds import Bench

MADE = sample()


class Counting(LayoutSource):
    """A layout that counts what is fetched from it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, None)
        self.fetched: list[Digest] = []

    def fetch(self, layer, into, progress):  # type: ignore[no-untyped-def]  # as the protocol has it
        self.fetched.append(layer.digest)
        super().fetch(layer, into, progress)


@pytest.fixture
def source(tmp_path: Path) -> Counting:
    """A layout with the sample."""
    MADE.write_blobs(tmp_path / "blobs")
    names = (Reference.parse("app:1"),)
    write_layout(tmp_path / "layout", MADE.image, lambda digest: tmp_path / "blobs" / digest.hex, names)
    return Counting(tmp_path / "layout")


def loaded(source: Counting, store: Store, bench: Bench) -> Hold:
    """A hold that knows the sample."""
    hold = Hold(source, store, bench.events.append)
    image = source.load(AMD64)
    hold.load(dict(source.documents(image)), blobs_of(image))
    return hold


def temporary_files(store: Store) -> list[str]:
    """What is left in the rooms for temporary files."""
    rooms = store.root / "pybuild" / "tmp"
    return [name for room in os.listdir(rooms) for name in os.listdir(rooms / room) if name != "lock"]


def layers(made: Sample) -> list[Digest]:
    """The digests of the layers."""
    return [layer.descriptor.digest for layer in made.image.layers]


def test_a_blob_is_fetched_when_it_is_asked_for_and_once(bench: Bench, source: Counting) -> None:
    """People see it come; documents need no fetching; at the end nothing is left."""
    with Store.open(bench.root) as store:
        with loaded(source, store, bench) as hold:
            assert source.fetched == []
            wanted = layers(MADE)[1]
            assert hold.path(wanted) == hold.path(wanted)
            assert hold.path(wanted).read_bytes() == MADE.blobs[wanted]
            assert hold.path(MADE.image.manifest.digest).read_bytes() == MADE.blobs[MADE.image.manifest.digest]
            assert source.fetched == [wanted]
            assert temporary_files(store)
        assert temporary_files(store) == []
    transfers = [event for event in bench.events if isinstance(event, Transfer)]
    assert transfers[-1].done == transfers[-1].total == len(MADE.layer_bytes(1))


def test_what_the_store_has_is_not_fetched(bench: Bench, source: Counting) -> None:
    """Its own file is given."""
    with Store.open(bench.root) as store:
        there = store.blobs.put(MADE.layer_bytes(0))
        with loaded(source, store, bench) as hold:
            assert hold.path(there) == store.blobs.path(there)
        assert source.fetched == [] and store.blobs.has(there)


def test_blobs_that_are_all_needed_come_together(bench: Bench, source: Counting) -> None:
    """Each is waited for, each once."""
    with Store.open(bench.root) as store, loaded(source, store, bench) as hold:
        with hold.coming(blobs_of(MADE.image)) as path:
            for digest, data in MADE.blobs.items():
                assert path(digest).read_bytes() == data
        assert sorted(source.fetched) == sorted(layers(MADE))


def test_a_blob_that_cannot_be_had_is_an_error_for_who_waits(bench: Bench, source: Counting, tmp_path: Path) -> None:
    """And nothing of it is left."""
    victim = tmp_path / "layout" / "blobs" / "sha256" / layers(MADE)[2].hex
    victim.unlink()
    victim.write_bytes(b"other")
    with Store.open(bench.root) as store:
        with (
            pytest.raises(ImageError, match=r"truncated|damaged"),
            loaded(source, store, bench) as hold,
            hold.coming(blobs_of(MADE.image)) as path,
        ):
            for digest in MADE.blobs:
                path(digest)
        assert temporary_files(store) == []


def test_a_document_without_its_digest_is_refused(bench: Bench, source: Counting) -> None:
    """Whoever gave it."""
    with (
        Store.open(bench.root) as store,
        Hold(source, store, bench.events.append) as hold,
        pytest.raises(ImageError, match="does not have its digest"),
    ):
        hold.load({Digest("0" * 64): b"{}"}, ())
