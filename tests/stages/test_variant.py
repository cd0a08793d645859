"""An image as an output wants it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from builder.errors import ImageError
from builder.values.compression import Compression
from builder.values.event import Exported
from builder.values.image import DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_MANIFEST, MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD
from builder.values.output import Annotation, ImageOptions, MediaTypes, OciOutput, Place
from builder.values.platform import Platform
from tests.stages.builds import Bench, base, row
from tests.support.bases import LayoutWriter
from tests.support.tars import layer

ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"


def exported(bench: Bench, options: ImageOptions, **asked: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifest of a layout written so, and the entry of its index that points at it."""
    bench.file("f", "text")
    layout = bench.room / "layout"
    if not (bench.room / "base").exists():
        base(bench.room / "base", [[row("a", "1")]])
    text = asked.pop("text", f"FROM oci:{bench.room / 'base'}:latest\nCOPY f /f\n")
    bench.build(text, outputs=(OciOutput(layout, (), options),), **asked)
    entry = json.loads((layout / "index.json").read_text())["manifests"][-1]
    (event,) = (event for event in bench.events if isinstance(event, Exported))
    assert str(event.digest) == entry["digest"]
    return json.loads((layout / "blobs/sha256" / entry["digest"][7:]).read_text()), entry


def types(manifest: dict[str, Any]) -> list[str]:
    """The media types of the layers."""
    return [entry["mediaType"] for entry in manifest["layers"]]


def test_without_options_it_is_the_image(bench: Bench) -> None:
    """Its digest is the store's."""
    _, entry = exported(bench, ImageOptions())
    assert bench.result is not None
    assert entry["digest"] == str(bench.result.image.manifest.digest) == str(bench.result.exported.manifest.digest)


def test_compression_is_for_the_layers_of_this_build(bench: Bench) -> None:
    """The base's stay as they are, unless force-compression says otherwise; the store's image is left alone."""
    manifest, entry = exported(bench, ImageOptions(Compression.ZSTD))
    assert types(manifest) == [MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD]
    assert bench.result is not None and str(bench.result.exported.manifest.digest) == entry["digest"]
    assert {layer.descriptor.media_type for layer in bench.result.image.layers} == {MEDIA_LAYER_GZIP}


def test_force(bench: Bench) -> None:
    """With force-compression all layers are brought into the compression."""
    assert types(exported(bench, ImageOptions(Compression.ZSTD, force=True))[0]) == [MEDIA_LAYER_ZSTD] * 2


def test_a_level_alone_is_of_the_builds_compression(bench: Bench) -> None:
    """Only this build's layers are packed again."""
    first, _ = exported(bench, ImageOptions())
    again, _ = exported(bench, ImageOptions(level=0))
    assert types(again) == [MEDIA_LAYER_GZIP] * 2 and again["layers"][0] == first["layers"][0]
    assert again["layers"][1] != first["layers"][1]


def test_annotations(bench: Bench) -> None:
    """Those of the manifest stand in it, those of the descriptor beside it; the last of a key counts."""
    options = ImageOptions(
        annotations=(
            Annotation("a", "mine"),
            Annotation("b", "2", Place.DESCRIPTOR),
            Annotation("c", "no", platform=Platform.parse("linux/s390x")),
            Annotation("d", "yes", platform=Platform.parse("linux/amd64")),
        )
    )
    manifest, entry = exported(bench, options, annotations=(Annotation("a", "all"), Annotation("e", "all")))
    assert manifest["annotations"] == {"a": "mine", "d": "yes", "e": "all"}
    assert entry["annotations"]["b"] == "2" and "org.opencontainers.image.ref.name" in entry["annotations"]
    assert bench.result is not None and dict(bench.result.image.annotations) == {"a": "all", "e": "all"}


def test_dockers_media_types(bench: Bench) -> None:
    """With oci-mediatypes=false the documents are Docker's; annotations, which have no place there, are told of."""
    options = ImageOptions(annotations=(Annotation("a", "1"),), media_types=MediaTypes.DOCKER)
    manifest, entry = exported(bench, options)
    assert (manifest["mediaType"], manifest["config"]["mediaType"]) == (DOCKER_MANIFEST, DOCKER_CONFIG)
    assert types(manifest) == [DOCKER_LAYER_GZIP] * 2 and entry["mediaType"] == DOCKER_MANIFEST
    assert bench.notes == ["Docker's manifest has no place for annotations; left out: a"]


def test_dockers_media_types_where_zstd_is_the_rule(bench: Bench) -> None:
    """This build's layers become gzip, which is all that these media types know."""
    manifest, _ = exported(bench, ImageOptions(media_types=MediaTypes.DOCKER), compression=Compression.ZSTD)
    assert types(manifest) == [DOCKER_LAYER_GZIP] * 2


def test_a_base_with_zstd_has_no_docker_form(bench: Bench) -> None:
    """It is refused with what to do, and done with force-compression."""
    writer = LayoutWriter(bench.room / "zbase")
    writer.finish([writer.image("linux/amd64", {}, [(layer([row("a", "1")]), ZSTD)])])
    text = f"FROM oci:{bench.room / 'zbase'}:latest\nCOPY f /f\n"
    with pytest.raises(ImageError, match="zstd"):
        exported(bench, ImageOptions(media_types=MediaTypes.DOCKER), text=text)
    forced = ImageOptions(Compression.GZIP, force=True, media_types=MediaTypes.DOCKER)
    assert types(exported(bench, forced, text=text)[0]) == [DOCKER_LAYER_GZIP] * 2
