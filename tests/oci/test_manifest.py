"""Manifests, indexes and the choice of a platform."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builder.errors import ImageError
from builder.oci.manifest import (
    MAX_LAYERS,
    choose,
    kind_of,
    read_index,
    read_manifest,
    write_index,
    write_manifest,
)
from builder.values.digest import Digest
from builder.values.image import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MEDIA_CONFIG,
    MEDIA_INDEX,
    MEDIA_LAYER,
    MEDIA_LAYER_GZIP,
    MEDIA_LAYER_ZSTD,
    MEDIA_MANIFEST,
    Descriptor,
)
from builder.values.platform import Platform
from tests.oci.images import AMD64, ARM64, as_json
from tests.oci.schemas import check_schema

SOME = "sha256:" + "a" * 64
CONFIG = Descriptor(MEDIA_CONFIG, Digest("a" * 64), 10)
LAYER = Descriptor(MEDIA_LAYER_GZIP, Digest("b" * 64), 20, (("k", "v"),))


def point(media_type: str, **more: object) -> dict[str, object]:
    """A descriptor object."""
    return {"mediaType": media_type, "digest": SOME, "size": 1, **more}


def manifest(**changes: object) -> bytes:
    """A manifest with one gzip layer, with fields replaced."""
    fields = {"schemaVersion": 2, "config": point(MEDIA_CONFIG), "layers": [point(MEDIA_LAYER_GZIP)]}
    return as_json({**fields, **changes})


def entry(platform: Platform | None, letter: str, *annotations: tuple[str, str]) -> Descriptor:
    """An index's entry."""
    return Descriptor(MEDIA_MANIFEST, Digest(letter * 64), 1, annotations, platform)


def test_a_written_manifest_reads_back_and_fits_the_schema() -> None:
    """Config, layers and annotations survive."""
    data = write_manifest(CONFIG, [LAYER], (("b", "2"), ("a", "1")))
    read = read_manifest(data, MEDIA_MANIFEST)
    assert (read.config, read.layers, read.annotations) == (CONFIG, (LAYER,), (("a", "1"), ("b", "2")))
    check_schema(data, "image-manifest-schema.json")


def test_a_written_index_reads_back_and_fits_the_schema() -> None:
    """Platforms and annotations survive."""
    entries = (entry(Platform("linux", "arm", "v7"), "a", ("k", "v")), entry(None, "b"))
    assert read_index(write_index(entries)) == entries
    check_schema(write_index(entries), "image-index-schema.json")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (DOCKER_LAYER, MEDIA_LAYER),
        (DOCKER_LAYER_GZIP, MEDIA_LAYER_GZIP),
        (DOCKER_LAYER + ".zstd", MEDIA_LAYER_ZSTD),
        (MEDIA_LAYER_ZSTD, MEDIA_LAYER_ZSTD),
    ],
)
def test_dockers_layer_types_become_ocis(theirs: str, ours: str) -> None:
    """The layers of a schema 2 manifest are given with OCI's media types; digest and size stay."""
    data = manifest(mediaType=DOCKER_MANIFEST, config=point(DOCKER_CONFIG), layers=[point(theirs)])
    (layer,) = read_manifest(data, DOCKER_MANIFEST).layers
    assert (layer.media_type, str(layer.digest), layer.size) == (ours, SOME, 1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (manifest(config=None), "no 'config'"),
        (manifest(config=point("application/vnd.cncf.helm.config.v1+json")), "not a container image"),
        (manifest(layers=[point("text/html")]), "unknown media type 'text/html'"),
        (manifest(layers=[point(MEDIA_LAYER.replace("layer", "layer.nondistributable"))]), "foreign layer"),
        (manifest(layers=[point("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")]), "foreign layer"),
        (manifest(layers=[point(MEDIA_LAYER)] * (MAX_LAYERS + 1)), "lists 501 layers"),
        (manifest(layers=[point(MEDIA_LAYER, digest="sha256:../../../../etc/passwd")]), "not a sha256 digest"),
        (manifest(layers=[point(MEDIA_LAYER, size=-1)]), "has no size"),
        (manifest(layers=[point(MEDIA_LAYER, size="1")]), "'size' is not a whole number"),
        (manifest(manifests=[]), "both a manifest and an index"),
        (manifest(mediaType="application/vnd.docker.distribution.manifest.v1+prettyjws"), "schema 1"),
        (as_json({"schemaVersion": 1, "fsLayers": [], "history": []}), "schema 1"),
        (manifest(mediaType="application/json"), "unknown media type 'application/json'"),
        (manifest(mediaType=DOCKER_MANIFEST), "was announced as"),
        (as_json({"schemaVersion": 2, "manifests": []}), "does not look like one"),
        (b"[]", "not a JSON object"),
    ],
)
def test_bad_manifests_are_refused(data: bytes, words: str) -> None:
    """Each kind of nonsense has its sentence (CVE-2021-41190 for what is manifest and index at once)."""
    with pytest.raises(ImageError, match=words):
        read_manifest(data, MEDIA_MANIFEST)


def test_the_document_decides_where_the_header_says_nothing() -> None:
    """A server that sends application/json does no harm: the document's own type, or else its shape, counts."""
    assert kind_of(manifest(), "application/json", "it") == MEDIA_MANIFEST
    assert kind_of(as_json({"schemaVersion": 2, "manifests": []}), "", "it") == MEDIA_INDEX
    assert kind_of(as_json({"schemaVersion": 2, "manifests": [], "mediaType": DOCKER_LIST}), "", "it") == DOCKER_LIST


@pytest.mark.parametrize(
    ("wanted", "letter"),
    [
        (AMD64, "a"),
        (ARM64, "b"),
        (Platform("linux", "arm", "v7"), "c"),
        (Platform("linux", "amd64", "v3"), "a"),
        (Platform("linux", "arm", "v6"), "d"),
    ],
)
def test_the_nearest_platform_is_chosen(wanted: Platform, letter: str) -> None:
    """An exact match, or the nearest older variant that the machine runs as well."""
    entries = [
        entry(Platform("unknown", "unknown"), "e"),
        entry(AMD64, "a"),
        entry(ARM64, "b"),
        entry(Platform("linux", "arm", "v6"), "d"),
        entry(Platform("linux", "arm", "v7"), "c"),
    ]
    assert choose(entries, wanted).digest.hex[0] == letter


def test_an_older_variant_serves_and_a_newer_one_does_not() -> None:
    """arm/v7 runs arm/v6, but not the other way round."""
    assert choose([entry(Platform("linux", "arm", "v6"), "a")], Platform("linux", "arm", "v7"))
    with pytest.raises(ImageError, match="no image for linux/arm/v6"):
        choose([entry(Platform("linux", "arm", "v7"), "a")], Platform("linux", "arm", "v6"))


def test_the_platforms_there_are_get_listed() -> None:
    """Who asked for one that is missing learns which there are; attestations are none."""
    attestation = entry(AMD64, "c", ("vnd.docker.reference.type", "attestation-manifest"))
    with pytest.raises(ImageError, match="no image for linux/riscv64") as caught:
        choose([entry(AMD64, "a"), entry(ARM64, "b"), attestation], Platform("linux", "riscv64"))
    assert caught.value.hint == "there are images for linux/amd64, linux/arm64; --platform chooses one"


def test_a_lone_entry_without_platform_is_meant() -> None:
    """An index in an index, or a layout's only image, needs no platform; of two such none is chosen."""
    lone = entry(None, "a")
    assert choose([lone], AMD64) == lone
    with pytest.raises(ImageError):
        choose([lone, replace(lone, digest=Digest("b" * 64))], AMD64)
