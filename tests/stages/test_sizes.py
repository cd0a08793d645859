"""What named images hold, and share."""

from __future__ import annotations

import json
from pathlib import Path

from builder.oci.layout import LayoutSource
from builder.stages.sizes import Sized, sized_images
from builder.stages.transfer import bring_in
from builder.store import Store
from builder.values.image import MEDIA_INDEX, Descriptor
from builder.values.platform import Platform
from builder.values.reference import Reference
from tests.stages.builds import Bench, base, row


def _sizes(root: Path) -> dict[str, Sized]:
    with Store.open(root) as store:
        return {sized.image.name.rpartition("/")[2]: sized for sized in sized_images(store)}


def _names(*texts: str) -> tuple[Reference, ...]:
    return tuple(map(Reference.parse, texts))


def test_shared_and_unique(bench: Bench) -> None:
    """Layers that two images have are shared; config, manifest and the other layers are each one's own."""
    bench.file("a", "a" * 1000)
    bench.file("b", "b" * 1000)
    one = bench.build("FROM scratch\nCOPY a /a\n", tags=_names("one"))
    bench.build("FROM scratch\nCOPY a /a\nCOPY b /b\n", tags=_names("two"))
    sizes = _sizes(bench.root)
    manifest = json.loads((bench.root / "blobs/sha256" / one.digest[7:]).read_text())
    layer_size = manifest["layers"][0]["size"]
    assert sizes["one:latest"].shared_bytes == sizes["two:latest"].shared_bytes == layer_size
    whole = layer_size + manifest["config"]["size"] + len((bench.root / "blobs/sha256" / one.digest[7:]).read_bytes())
    assert sizes["one:latest"].size_bytes == whole


def test_two_names_of_one_image(bench: Bench) -> None:
    """Names of the same image share nothing with each other: there is one image."""
    bench.file("a", "a")
    bench.build("FROM scratch\nCOPY a /a\n", tags=_names("one", "two"))
    sizes = _sizes(bench.root)
    assert {sized.shared_bytes for sized in sizes.values()} == {0}
    assert sizes["one:latest"].unique_bytes == sizes["two:latest"].unique_bytes > 0


def test_a_layer_that_comes_twice_counts_once(bench: Bench) -> None:
    """An image that has the same layer twice holds one blob."""
    bench.file("a", "a" * 1000)
    image = bench.build("FROM scratch\nCOPY a /a\nCOPY a /a\n", tags=_names("one"))
    manifest = json.loads((bench.root / "blobs/sha256" / image.digest[7:]).read_text())
    blobs = {layer["digest"]: layer["size"] for layer in manifest["layers"]}
    assert len(blobs) < len(manifest["layers"]) or len(manifest["layers"]) == 1
    sized = _sizes(bench.root)["one:latest"]
    own = manifest["config"]["size"] + len((bench.root / "blobs/sha256" / image.digest[7:]).read_bytes())
    assert sized.size_bytes == own + sum(blobs.values())


def test_damage(bench: Bench) -> None:
    """An image whose manifest, config or layer is gone is damaged, and does not hide the others."""
    bench.file("a", "a")
    for name in ("m", "c", "l", "whole"):
        bench.build(f"FROM scratch\nLABEL name={name}\nCOPY --chmod=60{len(name)} a /{name}\n", tags=_names(name))
    with Store.open(bench.root) as store:
        gone = []
        for sized in sized_images(store):
            manifest = json.loads(store.blobs.read(sized.image.manifest.digest, 1 << 20))
            points = {"m": str(sized.image.manifest.digest), "c": manifest["config"]["digest"]}
            points["l"] = manifest["layers"][0]["digest"]
            gone += [points[name] for name in points if f"/{name}:" in sized.image.name]
        for digest in gone:
            (bench.root / "blobs/sha256" / digest[7:]).unlink()
    assert {name: sized.damaged for name, sized in _sizes(bench.root).items()} == {
        "m:latest": True,
        "c:latest": True,
        "l:latest": True,
        "whole:latest": False,
    }


def test_an_index_of_platforms(tmp_path: Path) -> None:
    """Of an index those images count that are here; it has their platforms, and is whole without the others."""
    base(tmp_path / "layout", [[row("a", "a")]], platforms=("linux/amd64", "linux/arm64"))
    source = LayoutSource(tmp_path / "layout", "latest")
    with Store.open(tmp_path / "store") as store:
        bring_in(source, Platform.of("linux", "arm64"), store, lambda _: None)
        data = next(
            path for path in (tmp_path / "layout/blobs/sha256").iterdir() if b'"manifests"' in path.read_bytes()
        )
        digest = store.blobs.put(data.read_bytes())
        store.images.tag(Reference.parse("both"), Descriptor(MEDIA_INDEX, digest, data.stat().st_size))
        [sized] = sized_images(store)
    assert sized.platforms == (Platform.of("linux", "arm64"),)
    assert not sized.damaged and sized.size_bytes > data.stat().st_size
