"""Images made whole in the store, and carried from anywhere to anywhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.layout import LayoutSource, blobs_of
from builder.stages.images import build_platform
from builder.stages.transfer import bring_in
from builder.store import Store
from builder.values.event import Event, Transfer
from tests.oci.images import AMD64, sample
from tests.stages.builds import GZIP, Bench, base, row
from tests.stages.test_layers import ZSTD, lying_layout
from tests.support.bases import LayoutWriter
from tests.support.tars import layer


def source_of(layout: str) -> LayoutSource:
    """The source that `oci:DIR:TAG` names."""
    return LayoutSource(Path(layout.removeprefix("oci:").removesuffix(":latest")), "latest")


def test_an_image_is_whole_in_the_store(bench: Bench) -> None:
    """Every blob is there with its digest, every layer is known and has its index, and nobody named it."""
    source = source_of(base(bench.room / "base", [[row("a", "1")], [row("b", "2")]]))
    with Store.open(bench.root) as store:
        image = bring_in(source, build_platform(), store, bench.events.append)
        for descriptor in blobs_of(image):
            data = store.blobs.path(descriptor.digest).read_bytes()
            assert hashlib.sha256(data).hexdigest() == descriptor.digest.hex
        assert all(store.layers.has_index(held.diff_id) for held in image.layers)
        assert store.images.all() == []
    assert bench.problems() == []


def test_what_is_there_is_not_fetched_again(bench: Bench) -> None:
    """The second time nothing is transferred."""
    source = source_of(base(bench.room / "base", [[row("a", "1")]]))
    events: list[Event] = []
    with Store.open(bench.root) as store:
        first = bring_in(source, build_platform(), store, bench.events.append)
        assert bring_in(source, build_platform(), store, events.append) == first
    assert not [event for event in events if isinstance(event, Transfer)]


def test_a_liar_brings_nothing_in(bench: Bench) -> None:
    """An image whose blob is not the layer that its config names is refused, and that layer stays unknown."""
    good, evil = layer([row("who", "good")]), layer([row("who", "evil")])
    source = source_of(lying_layout(bench.room / "liar", good, evil))
    with Store.open(bench.root) as store:
        with pytest.raises(ImageError, match=f"not sha256:{hashlib.sha256(good).hexdigest()}, as its image says"):
            bring_in(source, build_platform(), store, bench.events.append)
        image = source.load(build_platform())
        assert store.layers.find(image.layers[0].diff_id) is None


def test_the_manifests_own_blob_comes_even_where_the_layer_is_known(bench: Bench) -> None:
    """The same layer compressed in another way: the store then has both blobs, so both images are whole."""
    tar = layer([row("a", "same")])
    for name, kind in (("one", GZIP), ("two", ZSTD)):
        writer = LayoutWriter(bench.room / name)
        writer.finish([writer.image("linux/amd64", {}, [(tar, kind)])])
    with Store.open(bench.root) as store:
        for name in ("one", "two", "two"):
            image = bring_in(LayoutSource(bench.room / name, "latest"), AMD64, store, bench.events.append)
            assert all(store.blobs.has(descriptor.digest) for descriptor in blobs_of(image))


def test_a_lie_about_a_known_layer_is_found(bench: Bench) -> None:
    """The claim is checked even where the store knows the layer from another blob, and even where it has the blob."""
    good, evil = layer([row("who", "good")]), layer([row("who", "evil")])
    honest = [source_of(base(bench.room / who, [[row("who", who)]])) for who in ("good", "evil")]
    liar = source_of(lying_layout(bench.room / "liar", good, evil))
    for known in (honest[:1], honest[1:]):
        with Store.open(bench.root) as store:
            for source in known:
                bring_in(source, build_platform(), store, bench.events.append)
            with pytest.raises(ImageError, match="as its image says"):
                bring_in(liar, build_platform(), store, bench.events.append)


def test_an_image_without_layers_is_brought_in(bench: Bench) -> None:
    """FROM scratch with nothing in it."""
    empty = sample(media_types=())
    empty.write_blobs(bench.room / "l" / "blobs" / "sha256")
    (bench.room / "l" / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    point = empty.image.manifest
    entry = f'{{"mediaType":"{point.media_type}","digest":"{point.digest}","size":{point.size}}}'
    (bench.room / "l" / "index.json").write_text(f'{{"schemaVersion":2,"manifests":[{entry}]}}')
    with Store.open(bench.root) as store:
        assert bring_in(LayoutSource(bench.room / "l", None), AMD64, store, bench.events.append).layers == ()
