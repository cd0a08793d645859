"""Layers in another compression: the same tar in another blob."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.stages.recompress import recompressed, recompressed_layers
from builder.store import Store
from builder.tree.compress import decompressor
from builder.values.compression import Compression
from builder.values.digest import Digest
from builder.values.image import MEDIA_LAYER, MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD, Image, Layer
from builder.values.reference import Reference
from tests.stages.builds import Bench, base, row
from tests.support.images import read_layout

BUILDFILE = "FROM {base}\nCOPY f /f\nCOPY big /big\n"


@pytest.fixture
def built(bench: Bench) -> Image:
    """An image with one layer of a base and two of its own."""
    bench.file("f", "text")
    bench.file("big", os.urandom(50_000) * 60)
    bench.build(BUILDFILE.format(base=base(bench.room / "base", [[row("a", "1")]])))
    assert bench.result is not None
    return bench.result.image


def _types(image: Image) -> list[str]:
    return [layer.descriptor.media_type for layer in image.layers]


def _tar(store: Store, layer: Layer) -> bytes:
    with open(store.blobs.path(layer.descriptor.digest), "rb") as raw:
        return decompressor(layer.descriptor.media_type, raw).read()


def test_layers_of_the_base_are_left_alone(bench: Bench, built: Image) -> None:
    """The lowest layers stay what they are; the others are new blobs of the same tars."""
    with Store.open(bench.root) as store:
        image = recompressed(built, Compression.ZSTD, None, store, 1)
        assert _types(image) == [MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD, MEDIA_LAYER_ZSTD]
        assert [layer.diff_id for layer in image.layers] == [layer.diff_id for layer in built.layers]
        assert [_tar(store, layer) for layer in image.layers] == [_tar(store, layer) for layer in built.layers]
        store.images.tag(Reference.parse("other:1"), image.manifest)
    assert read_layout(bench.root, "docker.io/library/other:1").diff_ids == [
        str(layer.diff_id) for layer in built.layers
    ]
    assert bench.problems() == []


def test_all_layers(bench: Bench, built: Image) -> None:
    """With nothing to be kept the base's layers change too."""
    with Store.open(bench.root) as store:
        image = recompressed(built, Compression.NONE, None, store)
        assert set(_types(image)) == {MEDIA_LAYER}
        assert all(layer.descriptor.digest.hex == layer.diff_id.hex for layer in image.layers)


def test_nothing_to_do_is_the_same_image(bench: Bench, built: Image) -> None:
    """Layers in the right compression already are not touched, unless a level is asked for."""
    with Store.open(bench.root) as store:
        assert recompressed(built, Compression.GZIP, None, store) is built
        low, high = (recompressed(built, Compression.GZIP, level, store) for level in (0, 3))
        assert low.layers[1].descriptor.size > high.layers[1].descriptor.size


def test_the_same_input_gives_the_same_bytes(bench: Bench, built: Image) -> None:
    """Another store, and another way the layer was compressed before, give the same blob."""
    with Store.open(bench.root) as store:
        first = recompressed(built, Compression.ZSTD, 5, store)
        plain = recompressed(built, Compression.NONE, None, store)
        for path in (bench.root / "pybuild/variants").iterdir():
            path.unlink()
        assert recompressed(plain, Compression.ZSTD, 5, store).layers == first.layers


def test_what_was_made_is_remembered(bench: Bench, built: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second time nothing is compressed, and the record that steps read by goes on naming the first blob."""
    with Store.open(bench.root) as store:
        first = recompressed(built, Compression.ZSTD, None, store)
        monkeypatch.setattr("builder.tree.compressor.Compressor", None)
        assert recompressed(built, Compression.ZSTD, None, store) == first
        for layer in built.layers:
            record = store.layers.find(layer.diff_id)
            assert record is not None and record.descriptor.digest == layer.descriptor.digest


def test_a_blob_that_is_gone_is_made_again(bench: Bench, built: Image) -> None:
    """What is remembered is only believed while the blob is there."""
    with Store.open(bench.root) as store:
        first = recompressed(built, Compression.ZSTD, None, store)
        store.blobs.discard(first.layers[1].descriptor.digest)
        assert recompressed(built, Compression.ZSTD, None, store) == first
        assert store.blobs.has(first.layers[1].descriptor.digest)


def test_a_layer_that_is_there_twice(bench: Bench, built: Image) -> None:
    """One blob is made for both."""
    twice = (*built.layers, built.layers[1])
    with Store.open(bench.root) as store:
        made = recompressed_layers(twice, Compression.ZSTD, None, store)
        assert made[1] == made[3] and len(made) == 4


@pytest.mark.parametrize("how", ["damaged", "cut", "missing"])
def test_a_blob_that_is_not_what_it_was(bench: Bench, built: Image, how: str) -> None:
    """It is said in one line, and nothing is made of it; a damaged blob is put aside to be had anew."""
    victim = built.layers[2].descriptor.digest
    path = bench.root / "blobs/sha256" / victim.hex
    data = path.read_bytes()
    path.chmod(0o600)
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(data[:-100] if how == "cut" else data[:2000] + b"\xff" * 9 + data[2009:])
    with Store.open(bench.root) as store:
        before = _blobs(bench.root)
        with pytest.raises(StoreError, match=f"blob {victim} .*(damaged|missing)"):
            recompressed(built, Compression.ZSTD, None, store, 2)
        assert _blobs(bench.root) == before - {victim.hex}


def _blobs(root: Path) -> set[str]:
    return {path.name for path in (root / "blobs/sha256").iterdir()}


@pytest.mark.usefixtures("built")
def test_an_image_does_not_depend_on_earlier_builds(bench: Bench) -> None:
    """Cached layers in another compression are brought into the one that is asked for now, and back again."""
    text = BUILDFILE.format(base=f"oci:{bench.room / 'base'}:latest")

    def layers(**asked: object) -> tuple[Layer, ...]:
        bench.build(text, **asked)
        assert bench.result is not None
        return bench.result.image.layers

    cached = layers(compression=Compression.ZSTD, compression_level=7)
    assert bench.started == []
    assert [layer.descriptor.media_type for layer in cached] == [MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD, MEDIA_LAYER_ZSTD]
    assert layers(compression=Compression.ZSTD, compression_level=7, no_cache=True) == cached
    assert len(bench.started) == 2
    assert {layer.descriptor.media_type for layer in layers()} == {MEDIA_LAYER_GZIP}


def test_digests_name_the_bytes(bench: Bench, built: Image) -> None:
    """Each blob has the digest and the size of its descriptor."""
    with Store.open(bench.root) as store:
        for layer in recompressed(built, Compression.ZSTD, 19, store).layers:
            data = store.blobs.path(layer.descriptor.digest).read_bytes()
            assert (Digest.of(data), len(data)) == (layer.descriptor.digest, layer.descriptor.size)
