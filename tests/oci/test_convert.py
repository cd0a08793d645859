"""Between OCI's documents and Docker's."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import ImageError
from builder.oci.config import read_config
from builder.oci.convert import as_docker, as_oci
from builder.oci.manifest import read_manifest
from builder.oci.source import assemble
from builder.values.digest import Digest
from builder.values.image import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    MEDIA_LAYER,
    MEDIA_LAYER_GZIP,
    MEDIA_LAYER_ZSTD,
    MEDIA_MANIFEST,
    Image,
)
from tests.oci.images import sample
from tests.oci.schemas import check_schema

KINDS = st.lists(st.sampled_from((MEDIA_LAYER, MEDIA_LAYER_GZIP)), max_size=5).map(tuple)


def annotated(image: Image) -> Image:
    """The image with annotations in every place that has some."""
    first = image.layers[0]
    layer = replace(first, descriptor=replace(first.descriptor, annotations=(("on.layer", "2"),)))
    return replace(image, annotations=(("on.manifest", "1"),), layers=(layer, *image.layers[1:]))


def test_the_manifest_gets_dockers_types() -> None:
    """Manifest, config and layers are called as schema 2 calls them; digests and sizes are those of before."""
    made = sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER)).image
    ((digest, data),) = as_docker(made).documents
    fields = json.loads(data)
    assert digest == Digest.of(data)
    assert fields["mediaType"] == DOCKER_MANIFEST
    assert fields["config"]["mediaType"] == DOCKER_CONFIG
    assert [layer["mediaType"] for layer in fields["layers"]] == [DOCKER_LAYER_GZIP, DOCKER_LAYER]
    assert [layer["digest"] for layer in fields["layers"]] == [str(layer.descriptor.digest) for layer in made.layers]


@given(KINDS)
def test_a_converted_image_is_what_its_document_says(kinds: tuple[str, ...]) -> None:
    """Reading the new manifest gives the very value that came with it: the config's bytes are those of before."""
    made = sample(media_types=kinds)
    config = read_config(made.blobs[made.image.config_descriptor.digest])
    docker = as_docker(made.image)
    for converted in (docker, as_oci(docker.image)):
        ((_, data),) = converted.documents
        point = converted.image.manifest
        assert assemble(point, read_manifest(data, point.media_type), config) == converted.image


@given(KINDS)
def test_there_and_back_is_the_same_image(kinds: tuple[str, ...]) -> None:
    """An image of ours that became Docker's and OCI's again has the digest that it had."""
    made = sample(media_types=kinds)
    back = as_oci(as_docker(made.image).image)
    assert back.image == made.image
    assert back.documents == ((made.image.manifest.digest, made.blobs[made.image.manifest.digest]),)


def test_what_is_already_so_stays_as_it_is() -> None:
    """No document is written anew: the digest is the one that people know."""
    made = annotated(sample(media_types=(MEDIA_LAYER_ZSTD,)).image)
    assert as_oci(made).image is made
    assert as_oci(made).documents == ()
    docker = as_docker(sample(media_types=(MEDIA_LAYER_GZIP,)).image).image
    assert as_docker(docker).image is docker
    assert as_docker(docker).documents == ()


def test_zstd_layers_are_refused_for_docker() -> None:
    """Schema 2 knows no such type; the hint says what to do."""
    with pytest.raises(ImageError, match=r"^layer sha256:[0-9a-f]{64} is compressed with zstd, which Docker") as caught:
        as_docker(sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD)).image)
    assert caught.value.hint == "keep OCI's media types, or compress the layers with gzip"


def test_annotations_that_docker_has_no_place_for_are_named() -> None:
    """They are in neither the document nor the value, and their keys are told."""
    converted = as_docker(annotated(sample(media_types=(MEDIA_LAYER_GZIP,)).image))
    assert converted.dropped == ("on.layer", "on.manifest")
    assert converted.image.annotations == ()
    assert b"annotations" not in converted.documents[0][1]


def test_the_oci_manifest_fits_its_schema() -> None:
    """What came from Docker's manifest is a valid OCI manifest."""
    docker = as_docker(sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER)).image).image
    converted = as_oci(docker)
    check_schema(converted.documents[0][1], "image-manifest-schema.json")
    assert converted.image.manifest.media_type == MEDIA_MANIFEST
