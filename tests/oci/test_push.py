"""Whole images into registries: a real one, and one that misbehaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.convert import Converted, as_docker, as_oci
from builder.oci.keyring import OneLogin
from builder.oci.layout import blobs_of
from builder.oci.listing import Listing
from builder.oci.manifest import write_index
from builder.oci.push import Amount, Watch, push_image, push_listing
from builder.oci.registry import RegistrySource
from builder.oci.source import ignore_progress
from builder.values.access import Access, Credential
from builder.values.digest import Digest
from builder.values.image import MEDIA_INDEX, MEDIA_LAYER_GZIP, Descriptor, Image
from builder.values.reference import Reference
from builder.values.registries import Mirror, RegistryRule, RegistryRules
from tests.oci.images import AMD64, ARM64, Sample, as_json, sample
from tests.oci.rogue import Rogue, status
from tests.oci.test_clients import client, storage
from tests.registry import running_registry, skopeo

__all__ = ["storage"]  # a fixture


@dataclass
class Blobs:
    """A sample's blobs in a directory, and which of them were asked for."""

    directory: Path
    asked: list[Digest] = field(default_factory=list)

    def path(self, digest: Digest) -> Path:
        """A blob's file."""
        self.asked.append(digest)
        return self.directory / digest.hex


@pytest.fixture
def made() -> Sample:
    """An image with two layers."""
    return sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER_GZIP))


@pytest.fixture
def blobs(tmp_path: Path, made: Sample) -> Blobs:
    """Its blobs on the disk."""
    made.write_blobs(tmp_path / "blobs")
    return Blobs(tmp_path / "blobs")


def names(*texts: str) -> tuple[Reference, ...]:
    """Names as people write them."""
    return tuple(Reference.parse(text) for text in texts)


def size_of(image: Image) -> int:
    """Config and layers."""
    return image.config_descriptor.size + sum(layer.descriptor.size for layer in image.layers)


def test_what_is_pushed_can_be_pulled(registry: str, tmp_path: Path, made: Sample, blobs: Blobs) -> None:
    """The same image and the same bytes come back, under each of the tags."""
    pushed = push_image(made.image, blobs.path, names(f"{registry}/push:1", f"{registry}/push:2"), Access())
    assert pushed.digest == made.image.manifest.digest
    assert pushed.size == size_of(made.image)
    for tag in ("1", "2"):
        source = RegistrySource(f"{registry}/push:{tag}")
        assert source.load(AMD64) == made.image
        for number, layer in enumerate(made.image.layers):
            source.fetch(layer.descriptor, tmp_path / "layer", ignore_progress)
            assert (tmp_path / "layer").read_bytes() == made.layer_bytes(number)


def test_what_is_there_is_not_sent_again(registry: str, made: Sample, blobs: Blobs) -> None:
    """The second push sends no blob and needs none on the disk but the manifest."""
    first = push_image(made.image, blobs.path, names(f"{registry}/twice:1"), Access())
    everything = Amount(3, size_of(made.image))
    assert (first.sent, first.there) == (everything, Amount())
    again = Blobs(blobs.directory)
    second = push_image(made.image, again.path, names(f"{registry}/twice:2"), Access())
    assert (second.sent, second.there) == (Amount(), everything)
    assert again.asked == [made.image.manifest.digest]


def test_layers_of_another_repository_are_mounted(registry: str, made: Sample, blobs: Blobs) -> None:
    """Where an origin has a blob, it is neither sent nor looked for on the disk: a base need not be fetched."""
    push_image(made.image, blobs.path, names(f"{registry}/base:1"), Access())
    layer = made.image.layers[0].descriptor
    (blobs.directory / layer.digest.hex).unlink()
    watch = Watch(origins=lambda blob: names(f"{registry}/base:1") if blob.digest == layer.digest else ())
    pushed = push_image(made.image, Blobs(blobs.directory).path, names(f"{registry}/mounted:1"), Access(), watch)
    assert pushed.mounted == Amount(1, layer.size)
    assert pushed.sent == Amount(2, size_of(made.image) - layer.size)
    assert RegistrySource(f"{registry}/mounted:1").load(AMD64) == made.image


def test_the_next_repository_mounts_from_the_one_before(registry: str, made: Sample, blobs: Blobs) -> None:
    """Of names in two repositories of one registry only the first costs bytes."""
    both = names(f"{registry}/left:1", f"{registry}/right:1")
    pushed = push_image(made.image, blobs.path, both, Access())
    everything = Amount(3, size_of(made.image))
    assert (pushed.sent, pushed.mounted) == (everything, everything)


def test_a_registry_of_its_own_mounts_nothing_from_elsewhere(registry: str, made: Sample, blobs: Blobs) -> None:
    """Origins of other registries are passed over."""
    watch = Watch(origins=lambda _: names("docker.io/library/base:1"))
    assert push_image(made.image, blobs.path, names(f"{registry}/alone:1"), Access(), watch).sent.blobs == 3


def test_an_image_can_be_pushed_without_a_tag(registry: str, made: Sample, blobs: Blobs) -> None:
    """By its own digest, which is then the only way to it."""
    name = replace(Reference.parse(f"{registry}/tagless:1"), tag=None, digest=made.image.manifest.digest)
    push_image(made.image, blobs.path, [name], Access())
    assert RegistrySource(str(name)).load(AMD64) == made.image
    with pytest.raises(ImageError, match="was not found"):
        RegistrySource(f"{registry}/tagless:latest").load(AMD64)


def test_a_digest_of_something_else_is_no_destination(registry: str, made: Sample, blobs: Blobs) -> None:
    """It cannot be chosen; the hint names a tag."""
    other = Digest.of(b"other")
    with pytest.raises(ImageError, match="a digest cannot be chosen") as caught:
        push_image(made.image, blobs.path, names(f"{registry}/x@{other}"), Access())
    assert caught.value.hint == f"push to a tag, such as {registry}/x:latest"


def test_progress_is_told_of_what_is_sent_alone(registry: str, made: Sample, blobs: Blobs) -> None:
    """The end of each blob once, after the registry has taken it; nothing of what is there."""
    heard: list[tuple[Digest, int]] = []
    watch = Watch(lambda blob, done: heard.append((blob.digest, done)))
    for _ in range(2):
        push_image(made.image, blobs.path, names(f"{registry}/heard:1"), Access(), watch)
    ended = [(blob.digest, blob.size) for blob in blobs_of(made.image)[:-1]]
    assert sorted(entry for entry in heard if entry in ended) == sorted(ended)


def test_a_manifest_that_changed_on_the_disk_is_not_pushed(registry: str, made: Sample, blobs: Blobs) -> None:
    """Before anything is sent."""
    (blobs.directory / made.image.manifest.digest.hex).write_bytes(b"{}")
    with pytest.raises(ImageError, match="is truncated"):
        push_image(made.image, blobs.path, names(f"{registry}/changed:1"), Access())


def test_a_blocked_name_is_not_pushed_to(made: Sample, blobs: Blobs) -> None:
    """registries.conf forbids it; nobody is asked."""
    rules = RegistryRules(rules=(RegistryRule("registry.test", blocked=True, origin="/etc/the.conf"),))
    with pytest.raises(ImageError, match=r"^registry.test/x:1 is blocked by /etc/the.conf$"):
        push_image(made.image, blobs.path, names("registry.test/x:1"), Access(rules=rules))


def test_a_mirror_gets_nothing(registry: str, made: Sample, blobs: Blobs) -> None:
    """It stands in for pulls alone."""
    mirror = RegistryRule(registry, mirrors=(Mirror("127.0.0.1:1"),))
    push_image(made.image, blobs.path, names(f"{registry}/mirrored:1"), Access(rules=RegistryRules(rules=(mirror,))))
    assert RegistrySource(f"{registry}/mirrored:1").load(AMD64) == made.image


# --- a registry that refuses -----------------------------------------------------------------------------------------


def refusing(rogue: Rogue, made: Sample, number: int, code: str) -> tuple[Reference, ...]:
    """A server that has all blobs, and refuses the manifest."""
    rogue.serve("old", made, "unused")
    said = {"errors": [{"code": code, "message": "not this"}]}
    rogue.routes["PUT /v2/old/manifests/1"] = lambda exchange: exchange.send(number, as_json(said))
    return names(f"{rogue.address}/old:1")


@pytest.mark.parametrize(("number", "code"), [(400, "MANIFEST_INVALID"), (415, "UNKNOWN"), (405, "UNSUPPORTED")])
def test_an_old_registry_wants_dockers_media_types(
    rogue: Rogue, made: Sample, blobs: Blobs, number: int, code: str
) -> None:
    """It refuses OCI's manifest, and the hint says what it may take; of Docker's own manifest nothing of the kind."""
    target = refusing(rogue, made, number, code)
    with pytest.raises(ImageError, match=rf"refuses the manifest of .*/old:1 \({number}\): not this") as caught:
        push_image(made.image, blobs.path, target, Access())
    assert caught.value.hint == "an old registry may only know Docker's media types: push with --format docker"
    converted = as_docker(made.image)
    for digest, data in converted.documents:
        (blobs.directory / digest.hex).write_bytes(data)
    with pytest.raises(ImageError) as again:
        push_image(converted.image, blobs.path, target, Access())
    assert again.value.hint == "see the registry's log"


def test_a_blob_that_vanished_is_said(rogue: Rogue, made: Sample, blobs: Blobs) -> None:
    """The registry said that it has it, and then that it does not."""
    with pytest.raises(ImageError, match=r"does not find a blob of .* that it said it has: not this"):
        push_image(made.image, blobs.path, refusing(rogue, made, 404, "MANIFEST_BLOB_UNKNOWN"), Access())


def test_a_manifest_that_is_kept_as_another_is_found_out(rogue: Rogue, made: Sample, blobs: Blobs) -> None:
    """The digest that the registry gives is compared."""
    target = refusing(rogue, made, 400, "")
    wrong = "sha256:" + "0" * 64
    rogue.routes["PUT /v2/old/manifests/1"] = status(201, Docker_Content_Digest=wrong)
    with pytest.raises(ImageError, match=rf"keeps the manifest of .* as '{wrong}', which is not what was sent"):
        push_image(made.image, blobs.path, target, Access())


def test_without_a_login_nothing_is_sent(made: Sample, blobs: Blobs, tmp_path: Path) -> None:
    """One line that says how to log in; with the login it works."""
    with running_registry(tmp_path, users={"me": "secret"}) as address:
        target = names(f"{address}/private:1")
        with pytest.raises(ImageError, match="does not let us write") as caught:
            push_image(made.image, blobs.path, target, Access())
        assert f"pybuild login {address}" in (caught.value.hint or "")
        access = Access(keyring=OneLogin(Credential("me", "secret"), (address,)))
        assert push_image(made.image, blobs.path, target, access).sent.blobs == 3


# --- other clients ---------------------------------------------------------------------------------------------------


@pytest.mark.clients
@pytest.mark.parametrize("convert", [as_oci, as_docker])
def test_skopeo_reads_what_was_pushed(
    registry: str, made: Sample, blobs: Blobs, convert: Callable[[Image], Converted]
) -> None:
    """In OCI's words and in Docker's: its digest and layers are ours."""
    converted = convert(made.image)
    for digest, data in converted.documents:
        (blobs.directory / digest.hex).write_bytes(data)
    name = f"{registry}/skopeo-{convert.__name__}:1"
    push_image(converted.image, blobs.path, names(name), Access())
    seen = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))
    assert seen["Digest"] == str(converted.image.manifest.digest)
    assert seen["Layers"] == [str(layer.descriptor.digest) for layer in made.image.layers]


@pytest.mark.clients
@pytest.mark.parametrize("program", ["podman", "buildah"])
def test_podman_and_buildah_pull_what_was_pushed(
    registry: str, made: Sample, blobs: Blobs, storage: list[str], program: str
) -> None:
    """The image's id there is the digest of our config."""
    name = f"{registry}/{program}:1"
    push_image(made.image, blobs.path, names(name), Access())
    pulled = client(program, *storage, "pull", "-q", "--tls-verify=false", name)
    assert pulled.strip() == made.image.config_descriptor.digest.hex


def test_an_index_is_pushed_with_all_that_it_leads_to(registry: str, tmp_path: Path) -> None:
    """The images of both platforms can be pulled by the index's tag, and each by its own digest."""
    both = (sample(AMD64), sample(ARM64))
    for each in both:
        each.write_blobs(tmp_path)
    points = [replace(each.image.manifest, platform=each.image.config.platform) for each in both]
    data = write_index(points)
    root = Descriptor(MEDIA_INDEX, Digest.of(data), len(data))
    documents = [(each.image.manifest, each.blobs[each.image.manifest.digest]) for each in both]
    every = [blob for each in both for blob in blobs_of(each.image) if blob.digest != each.image.manifest.digest]
    listing = Listing(root, (*documents, (root, data)), tuple({blob.digest: blob for blob in every}.values()))
    pushed = push_listing(listing, lambda digest: tmp_path / digest.hex, names(f"{registry}/many:1"), Access())
    assert pushed.digest == root.digest
    for each in both:
        assert RegistrySource(f"{registry}/many:1").load(each.image.config.platform) == each.image
        assert RegistrySource(f"{registry}/many@{each.image.manifest.digest}").load(AMD64) == each.image
