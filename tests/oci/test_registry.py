"""Images from a registry: a real one, and one that misbehaves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.layout import write_layout
from builder.oci.registry import RegistrySource
from builder.oci.source import ignore_progress
from builder.values.digest import Digest
from builder.values.image import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MEDIA_INDEX,
    MEDIA_LAYER,
    MEDIA_LAYER_GZIP,
    MEDIA_LAYER_ZSTD,
    MEDIA_MANIFEST,
    Image,
)
from builder.values.platform import Platform
from builder.values.reference import Reference
from tests.oci.images import AMD64, ARM64, Sample, sample
from tests.oci.rogue import (
    QUICK,
    Rogue,
    body,
    document,
    endless,
    in_turn,
    json_answer,
    redirect,
    silent,
    status,
    trickle,
)
from tests.registry import free_port, push, skopeo


def source_of(name: str) -> RegistrySource:
    """A source with little patience."""
    return RegistrySource(Reference.parse(name), patience=QUICK)


def pushed(tmp_path: Path, made: Sample, name: str, *options: str) -> None:
    """Push a sample with skopeo."""
    made.write_blobs(tmp_path / "blobs")
    write_layout(tmp_path / "push", made.image, lambda digest: tmp_path / "blobs" / digest.hex, ())
    push(f"oci:{tmp_path}/push", name, *options)


def all_layers(source: RegistrySource, image: Image, directory: Path) -> list[bytes]:
    """Every layer's blob, fetched."""
    blobs = []
    for layer in image.layers:
        source.fetch(layer.descriptor, directory / "layer", ignore_progress)
        blobs.append((directory / "layer").read_bytes())
    return blobs


# --- a real registry -------------------------------------------------------------------------------------------------


def test_an_image_comes_back_as_it_was_pushed(registry: str, tmp_path: Path) -> None:
    """gzip and zstd layers through docker-registry: the same image and the same bytes."""
    made = sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD))
    pushed(tmp_path, made, f"{registry}/oci:1")
    source = source_of(f"{registry}/oci:1")
    image = source.load(AMD64)
    assert image == made.image
    assert all_layers(source, image, tmp_path) == [made.layer_bytes(0), made.layer_bytes(1)]
    assert [data for _, data in source.documents(image)] == [
        made.blobs[image.manifest.digest],
        made.blobs[image.config_descriptor.digest],
    ]


def test_an_image_is_found_by_its_digest(registry: str, tmp_path: Path) -> None:
    """A digest decides, also beside a tag that does not exist."""
    made = sample(media_types=(MEDIA_LAYER_GZIP,))
    pushed(tmp_path, made, f"{registry}/digest:1")
    for name in (f"digest@{made.image.manifest.digest}", f"digest:nope@{made.image.manifest.digest}"):
        assert source_of(f"{registry}/{name}").load(AMD64) == made.image


def test_a_schema_2_image_is_read(registry: str, tmp_path: Path) -> None:
    """Docker's manifest; the layers have OCI's media types, the manifest keeps its own."""
    made = sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER_GZIP))
    pushed(tmp_path, made, f"{registry}/docker:1", "--format", "v2s2")
    source = source_of(f"{registry}/docker:1")
    image = source.load(AMD64)
    assert image.manifest.media_type == DOCKER_MANIFEST
    assert {layer.descriptor.media_type for layer in image.layers} == {MEDIA_LAYER_GZIP}
    assert image.config.diff_ids == made.image.config.diff_ids
    assert all_layers(source, image, tmp_path) == [made.layer_bytes(0), made.layer_bytes(1)]


def test_a_missing_image_is_named(registry: str) -> None:
    """404 says which name was not found where."""
    with pytest.raises(ImageError, match=f"^{registry}/none:1 was not found at {registry}: manifest unknown$"):
        source_of(f"{registry}/none:1").load(AMD64)


def test_a_registry_that_is_not_there_is_explained() -> None:
    """Nobody listens: one line at once, without waiting for retries."""
    started = time.monotonic()
    name = f"127.0.0.1:{free_port()}/x:1"
    with pytest.raises(ImageError, match="refuses the connection") as caught:
        source_of(name).load(AMD64)
    assert caught.value.message.startswith(name)
    assert caught.value.hint is not None
    assert "is the server running?" in caught.value.hint
    assert time.monotonic() - started < 1


def test_skopeo_reads_the_registry_that_we_read(registry: str, tmp_path: Path) -> None:
    """The fixture itself: what skopeo sees is what was pushed."""
    made = sample(media_types=(MEDIA_LAYER_GZIP,))
    pushed(tmp_path, made, f"{registry}/fixture:1")
    seen = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{registry}/fixture:1"))
    assert seen["Digest"] == str(made.image.manifest.digest)


# --- platforms -------------------------------------------------------------------------------------------------------


def listed(rogue: Rogue, media_type: str, *images: Sample) -> None:
    """Serve a list of images as repository `many`, tag 1."""
    entries = []
    for made in images:
        point, platform = made.image.manifest, made.image.config.platform
        rogue.serve("many", made, "unused")
        fields = {"mediaType": point.media_type, "digest": str(point.digest), "size": point.size}
        entries.append({**fields, "platform": {"os": platform.os, "architecture": platform.architecture}})
    value = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    rogue.routes["/v2/many/manifests/1"] = json_answer(value, media_type)


@pytest.mark.parametrize("media_type", [MEDIA_INDEX, DOCKER_LIST])
def test_a_list_leads_to_the_platforms_image(rogue: Rogue, tmp_path: Path, media_type: str) -> None:
    """OCI indexes and Docker lists; plain layers too."""
    one, other = sample(AMD64), sample(ARM64, (MEDIA_LAYER,))
    listed(rogue, media_type, one, other)
    source = source_of(f"{rogue.address}/many:1")
    assert source.load(ARM64) == other.image
    assert all_layers(source, other.image, tmp_path) == [other.layer_bytes()]
    assert source.load(AMD64) == one.image


def test_a_missing_platform_lists_those_there_are(rogue: Rogue) -> None:
    """The name, the platform asked for and the ones there are."""
    listed(rogue, MEDIA_INDEX, sample(AMD64), sample(ARM64))
    with pytest.raises(ImageError, match="many:1: there is no image for linux/s390x") as caught:
        source_of(f"{rogue.address}/many:1").load(Platform("linux", "s390x"))
    assert caught.value.hint is not None
    assert "linux/amd64, linux/arm64" in caught.value.hint


def test_a_list_that_points_at_itself_ends(rogue: Rogue) -> None:
    """A registry can serve such a list only with a wrong digest, and that is what is found."""
    digest = "sha256:" + "a" * 64
    entry = {"mediaType": MEDIA_INDEX, "digest": digest, "size": 100}
    ring = json_answer({"schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": [entry]}, MEDIA_INDEX)
    rogue.routes["/v2/ring/manifests/1"] = ring
    rogue.routes[f"/v2/ring/manifests/{digest}"] = ring
    with pytest.raises(ImageError, match=r"is damaged|points at itself"):
        source_of(f"{rogue.address}/ring:1").load(AMD64)
    assert len(rogue.requests) == 2


# --- documents that lie ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("manifest", "media_type", "words"),
    [
        (b"<html>hello</html>", "text/html", "not valid JSON"),
        (b"{}", "application/json", "has no 'config'"),
        (b'{"schemaVersion":1,"fsLayers":[]}', "application/json", "schema 1"),
        (b'{"config":{},"manifests":[]}', MEDIA_MANIFEST, "both a manifest and an index"),
        (b'{"schemaVersion":2,"manifests":[]}', MEDIA_MANIFEST, "does not look like one"),
        (b'{"a":1,"a":2}', MEDIA_MANIFEST, "is there twice"),
        (b"[" * 100_000, MEDIA_MANIFEST, "nested too deeply|not valid"),
        (b'{"config":{"mediaType":"x","digest":"sha256:../../x","size":1}}', MEDIA_MANIFEST, "not a sha256 digest"),
    ],
)
def test_a_manifest_that_is_none_is_refused(rogue: Rogue, manifest: bytes, media_type: str, words: str) -> None:
    """One line with the image's name for each of them."""
    rogue.routes["/v2/app/manifests/1"] = document(manifest, media_type)
    with pytest.raises(ImageError, match=words) as caught:
        source_of(f"{rogue.address}/app:1").load(AMD64)
    assert "\n" not in caught.value.message
    assert "app:1" in caught.value.message


def test_a_manifest_of_50_mb_is_not_read_to_its_end(rogue: Rogue) -> None:
    """Reading stops at 8 MiB, whether the size was announced or not."""
    for answer in (body(b" " * (50 << 20)), endless):
        rogue.routes["/v2/app/manifests/1"] = answer
        with pytest.raises(ImageError, match="more than 8 MiB"):
            source_of(f"{rogue.address}/app:1").load(AMD64)


def test_a_manifest_must_have_the_digest_asked_for(rogue: Rogue) -> None:
    """By digest: another document is damage. By tag: the registry's own header must agree."""
    made = sample()
    data = made.blobs[made.image.manifest.digest]
    wrong = "sha256:" + "0" * 64
    rogue.routes[f"/v2/app/manifests/{wrong}"] = document(data, MEDIA_MANIFEST)
    with pytest.raises(ImageError, match=f"{wrong} is damaged: what arrived is {Digest.of(data)}"):
        source_of(f"{rogue.address}/app@{wrong}").load(AMD64)
    rogue.routes["/v2/app/manifests/1"] = lambda exchange: exchange.send(200, data, Docker_Content_Digest=wrong)
    with pytest.raises(ImageError, match="the registry calls it"):
        source_of(f"{rogue.address}/app:1").load(AMD64)


def test_a_config_must_have_its_digest_and_size(rogue: Rogue) -> None:
    """The config is verified like any blob."""
    made = sample()
    rogue.serve("app", made)
    digest = made.image.config_descriptor.digest
    data = made.blobs[digest]
    for bad in (data[:-1], data + b" ", data.replace(b"amd64", b"arm64")):
        rogue.routes[f"/v2/app/blobs/{digest}"] = body(bad)
        with pytest.raises(ImageError, match=f"blob {digest} is (damaged|truncated)"):
            source_of(f"{rogue.address}/app:1").load(AMD64)


# --- servers that misbehave ------------------------------------------------------------------------------------------


def load(rogue: Rogue) -> Image:
    """Load app:1."""
    return source_of(f"{rogue.address}/app:1").load(AMD64)


def test_500_twice_and_then_well_succeeds(rogue: Rogue) -> None:
    """What passes is tried again."""
    made = sample()
    rogue.serve("app", made)
    path = "/v2/app/manifests/1"
    rogue.routes[path] = in_turn(status(500), status(429, Retry_After=0), rogue.routes[path])
    assert load(rogue) == made.image
    assert rogue.count(path) == 3


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (500, "answers 500"),
        (503, "answers 503"),
        (429, "allows no more requests"),
        (403, "does not let us read .* \\(403\\)"),
        (401, "does not let us read .* \\(401\\)"),
        (418, "answers 418"),
    ],
)
def test_a_refusal_is_explained(rogue: Rogue, number: int, words: str) -> None:
    """Each status has its sentence with the image's name, and a hint."""
    rogue.routes["/v2/app/manifests/1"] = status(number)
    with pytest.raises(ImageError, match=words) as caught:
        load(rogue)
    assert "app:1" in caught.value.message
    assert caught.value.hint


def test_what_a_server_says_cannot_paint_the_terminal(rogue: Rogue) -> None:
    """The registry's message is shown without control characters and cut."""
    error = {"errors": [{"code": "DENIED", "message": "no\x1b[31m\nway" + "x" * 5000}]}
    rogue.routes["/v2/app/manifests/1"] = lambda exchange: exchange.send(403, json.dumps(error).encode())
    with pytest.raises(ImageError, match=r"no\?\[31m\?way") as caught:
        load(rogue)
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("answer", [silent, trickle])
def test_a_server_that_dawdles_is_given_up(rogue: Rogue, answer: Callable[..., None]) -> None:
    """Silence ends at the read time-out, a byte now and then at the deadline."""
    rogue.routes["/v2/app/manifests/1"] = answer
    started = time.monotonic()
    with pytest.raises(ImageError, match=r"does not answer in time|too slow"):
        source_of(f"{rogue.address}/app:1").load(AMD64)
    assert time.monotonic() - started < 5 + QUICK.blob_s


def test_a_ring_of_redirects_ends(rogue: Rogue) -> None:
    """A registry that redirects in a ring is given up after a few rounds."""
    rogue.routes["/v2/app/manifests/1"] = redirect("/elsewhere")
    rogue.routes["/elsewhere"] = redirect("/v2/app/manifests/1")
    with pytest.raises(ImageError, match="redirects more than 5 times"):
        load(rogue)
    assert len(rogue.requests) == 6
