"""Images of the store pushed to a real registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import ImageError, StoreError
from builder.oci.manifest import write_manifest
from builder.oci.push import Amount
from builder.oci.registry import RegistrySource
from builder.stages.pushing import in_media_types, push_from_store
from builder.store import Store
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.event import Event, Note, Transfer
from builder.values.image import DOCKER_MANIFEST, MEDIA_INDEX, MEDIA_LAYER_GZIP, MEDIA_MANIFEST, Descriptor, Image
from builder.values.output import MediaTypes
from builder.values.reference import Reference
from tests.oci.images import AMD64, Sample, sample
from tests.registry import running_registry
from tests.stages.builds import Bench


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a docker-registry."""
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def store(bench: Bench) -> Iterator[Store]:
    """An open store."""
    with Store.open(bench.root) as opened:
        yield opened


@pytest.fixture
def made() -> Sample:
    """An image of two layers."""
    return sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER_GZIP))


def named(text: str) -> tuple[Reference, ...]:
    """One name."""
    return (Reference.parse(text),)


def stored(store: Store, made: Sample) -> Image:
    """The image with all of its blobs in the store, as if built there."""
    for data in made.blobs.values():
        store.blobs.put(data)
    return made.image


def test_an_image_of_the_store_is_pushed(registry: str, store: Store, made: Sample) -> None:
    """It can be pulled, and each layer's way was told to its end; a config is no layer."""
    events: list[Event] = []
    image = stored(store, made)
    pushed = push_from_store(image.manifest, named(f"{registry}/stored:1"), store, Access(), events.append)
    assert pushed.digest == image.manifest.digest
    assert pushed.sent.blobs == 3
    assert RegistrySource(f"{registry}/stored:1").load(AMD64) == image
    ended = [event for event in events if isinstance(event, Transfer) and event.done == event.total]
    assert {event.verb for event in ended} == {"push"}
    assert {event.what for event in ended} == {layer.descriptor.digest.hex[:12] for layer in image.layers}


def test_a_base_that_was_pulled_is_mounted(registry: str, store: Store, made: Sample) -> None:
    """Its layers are neither fetched nor sent, though the store has none of them any more."""
    image = stored(store, made)
    push_from_store(image.manifest, named(f"{registry}/mother:1"), store, Access(), lambda _: None)
    (name,) = named(f"{registry}/mother:1")
    store.pulled.put(name, AMD64, image.manifest)
    for layer in image.layers:
        store.blobs.discard(layer.descriptor.digest)
    pushed = push_from_store(image.manifest, named(f"{registry}/child:1"), store, Access(), lambda _: None)
    assert (pushed.sent, pushed.mounted.blobs) == (Amount(), 3)
    assert not store.blobs.has(image.layers[0].descriptor.digest)
    assert RegistrySource(f"{registry}/child:1").load(AMD64) == image


def test_what_the_store_lacks_is_fetched_from_where_it_came(
    registry: str, store: Store, made: Sample, tmp_path: Path
) -> None:
    """A base pulled from one registry, whose layer was never needed, goes whole to another one."""
    image = stored(store, made)
    (name,) = named(f"{registry}/elsewhere:1")
    push_from_store(image.manifest, (name,), store, Access(), lambda _: None)
    store.pulled.put(name, AMD64, image.manifest)
    store.blobs.discard(image.layers[0].descriptor.digest)
    with running_registry(tmp_path) as other:
        pushed = push_from_store(image.manifest, named(f"{other}/copy:1"), store, Access(), lambda _: None)
        assert pushed.sent.blobs == 3
        assert RegistrySource(f"{other}/copy:1").load(AMD64) == image
    assert store.blobs.has(image.layers[0].descriptor.digest)


def test_a_layer_that_is_nowhere_is_named(registry: str, store: Store, made: Sample) -> None:
    """No name is set in the registry then."""
    image = stored(store, made)
    digest = image.layers[1].descriptor.digest
    store.blobs.discard(digest)
    with pytest.raises(StoreError, match=f"^blob {digest} of the image is missing from the store$"):
        push_from_store(image.manifest, named(f"{registry}/partial:1"), store, Access(), lambda _: None)
    with pytest.raises(ImageError, match="was not found"):
        RegistrySource(f"{registry}/partial:1").load(AMD64)


def test_an_image_pushed_before_is_mounted_from_there(registry: str, store: Store, made: Sample) -> None:
    """The names of the store's images may be names in the registry: nothing is sent twice to one registry."""
    image = stored(store, made)
    (name,) = named(f"{registry}/first:1")
    store.images.tag(name, image.manifest)
    push_from_store(image.manifest, (name,), store, Access(), lambda _: None)
    pushed = push_from_store(image.manifest, named(f"{registry}/second:1"), store, Access(), lambda _: None)
    assert (pushed.sent.blobs, pushed.mounted.blobs) == (0, 3)


def test_an_image_is_pushed_in_dockers_words(registry: str, store: Store) -> None:
    """The manifest has Docker's media type; annotations that it has no place for are named once."""
    made = sample(media_types=(MEDIA_LAYER_GZIP,))
    config, layers = made.image.config_descriptor, [layer.descriptor for layer in made.image.layers]
    data = write_manifest(config, layers, [("who", "me")])
    events: list[Event] = []
    stored(store, made)
    noted = Descriptor(MEDIA_MANIFEST, store.blobs.put(data), len(data))
    manifest = in_media_types(noted, MediaTypes.DOCKER, store, events.append)
    push_from_store(manifest, named(f"{registry}/docker:1"), store, Access(), events.append)
    assert RegistrySource(f"{registry}/docker:1").load(AMD64).manifest.media_type == DOCKER_MANIFEST
    assert Note("Docker's manifest has no place for annotations; left out: who") in events


def test_the_words_of_an_index_stay(store: Store) -> None:
    """Only an image of one platform can be said in other words; asked for nothing, nothing changes."""
    index = Descriptor(MEDIA_INDEX, Digest.of(b"index"), 5)
    assert in_media_types(index, None, store, lambda _: None) is index
    with pytest.raises(ImageError, match="is an index of several images, which is only pushed as it is"):
        in_media_types(index, MediaTypes.OCI, store, lambda _: None)
