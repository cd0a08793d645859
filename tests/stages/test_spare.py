"""Layers of a base that do not come, because the image only goes to registries."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from builder.commands.app import run
from builder.errors import ImageError
from builder.oci.manifest import write_config, write_manifest
from builder.oci.push import push_image
from builder.oci.registry import RegistrySource
from builder.stages.pushing import push_from_store
from builder.stages.sizes import sized_images
from builder.store import Store
from builder.store.policy import Policy
from builder.store.prune import prune
from builder.values.access import Access
from builder.values.compression import Compression
from builder.values.digest import DiffId, Digest
from builder.values.event import Transfer
from builder.values.image import MEDIA_LAYER, MEDIA_LAYER_GZIP, Image, Layer
from builder.values.output import ImageOptions, ImageOutput, Output, PushOutput
from builder.values.reference import Reference
from tests.commands.callers import caller
from tests.oci.images import AMD64, Sample, sample
from tests.registry import free_port, running_registry
from tests.stages.builds import Bench, content

MADE = sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER_GZIP))
LINK = "COPY --link f /d/f\n"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry that has the image mother:1, of two layers."""
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        put(MADE, f"{address}/mother:1", tmp_path_factory.mktemp("mother"))
        yield address


@pytest.fixture
def one(bench: Bench) -> Bench:
    """A context with the file of LINK."""
    bench.file("f", "text")
    return bench


def put(made: Sample, name: str, room: Path) -> None:
    """Push an image."""
    made.write_blobs(room)
    push_image(made.image, lambda digest: room / digest.hex, [Reference.parse(name)], Access())


def fetched(bench: Bench) -> set[str]:
    """What was fetched in the last build."""
    return {event.what for event in bench.events if isinstance(event, Transfer) and event.verb == "pull"}


def pushed(bench: Bench, name: str, text: str, output: Output | None = None) -> Image:
    """Build what is only pushed; the image as the registry then has it."""
    bench.made(text, tags=(Reference.parse(name),), outputs=(output or PushOutput(),))
    return RegistrySource(name).load(AMD64)


def test_a_base_of_the_same_registry_does_not_come(one: Bench, registry: str) -> None:
    """Its layers are mounted there, as its manifest names them; the store is sound without them."""
    image = pushed(one, f"{registry}/child:1", f"FROM {registry}/mother:1\n{LINK}CMD x\n")
    assert image.layers[:2] == MADE.image.layers and len(image.layers) == 3
    assert fetched(one) == set() and one.problems() == []
    with Store.open(one.root) as store:
        assert [store.blobs.has(layer.descriptor.digest) for layer in image.layers] == [False, False, True]
        assert [held.damaged for held in sized_images(store)] == [False]


def test_what_was_read_is_known(one: Bench, registry: str) -> None:
    """An ordinary COPY asks the base where its destination leads; its index answers that also when the blob is gone."""
    text = f"FROM {registry}/mother:1\nCOPY f /d/f\n"
    first = pushed(one, f"{registry}/asked:1", text)
    assert len(fetched(one)) == 2
    with Store.open(one.root) as store:
        for layer in first.layers[:2]:
            store.blobs.discard(layer.descriptor.digest)
    one.file("f", "other text")
    again = pushed(one, f"{registry}/asked:2", text)
    assert fetched(one) == set() and again.layers[:2] == MADE.image.layers and again.layers[2] != first.layers[2]


def test_what_stays_here_is_whole(one: Bench, registry: str) -> None:
    """Without an output, with one that holds the image, or where the base's layers are changed, they come."""
    text = f"FROM {registry}/mother:1\n{LINK}"
    for number, outputs in enumerate(
        (
            (),
            (PushOutput(), ImageOutput()),
            (PushOutput((), ImageOptions(Compression.ZSTD, force=True)),),
        )
    ):
        (one.room / str(number)).mkdir()
        bench = Bench(one.room / str(number))
        bench.file("f", "text")
        image = bench.build(text, tags=(Reference.parse(f"{registry}/whole:{number}"),), outputs=outputs)
        assert len(fetched(bench)) == 2 and "file1" in image.files


def test_a_base_of_another_registry(one: Bench, registry: str, tmp_path: Path) -> None:
    """Its layers are brought when they are pushed, and have their digests."""
    with running_registry(tmp_path) as other:
        image = pushed(one, f"{other}/child:1", f"FROM {registry}/mother:1\n{LINK}")
    assert image.layers[:2] == MADE.image.layers and len(fetched(one)) == 2


def test_a_build_on_such_an_image(one: Bench, registry: str) -> None:
    """What is missing is brought from the registry when a step or a whole image needs it."""
    name = f"{registry}/later:1"
    pushed(one, name, f"FROM {registry}/mother:1\n{LINK}")
    image = one.build(f"FROM {name}\nCOPY f /e\nCOPY --from={name} /file0 /copied\n")
    assert len(fetched(one)) == 2
    assert content(image, "/copied") == content(image, "/file0") and content(image, "/d/f") == "text"


def test_such_an_image_is_looked_into_and_saved(one: Bench, registry: str) -> None:
    """Its files are read as if they were here, and an archive of it is whole."""
    name = f"{registry}/looked:1"
    pushed(one, name, f"FROM {registry}/mother:1\n{LINK}")
    who = replace(caller(one.room), stdout=io.TextIOWrapper(io.BytesIO()))
    assert run(["cat", f"{name}:/file0", "--root", str(one.root)], who) == 0
    assert who.stdout.buffer.getvalue() == b"linux/amd64 0\n" * 100  # type: ignore[attr-defined]
    assert run(["save", name, "--format", "oci", "-o", "a.tar", "--root", str(one.root)], caller(one.room)) == 0
    with tarfile.open(one.room / "a.tar") as archive:
        names = archive.getnames()
    assert all(f"blobs/sha256/{layer.descriptor.digest.hex}" in names for layer in MADE.image.layers)


def test_where_the_rest_is_is_not_pruned(one: Bench, registry: str) -> None:
    """As long as the image has a name, what says from where its layers come stays; then it goes."""
    name = f"{registry}/pruned:1"
    pushed(one, name, f"FROM {registry}/mother:1\n{LINK}")
    with Store.open(one.root) as store:
        prune(store, Policy(everything=True))
        assert [name.digest for name, _, _ in store.pulled.all()].count(MADE.image.manifest.digest) == 1
    assert one.problems() == []
    with Store.open(one.root) as store:
        store.images.untag(Reference.parse(name))
        prune(store, Policy(everything=True))
        assert store.pulled.all() == []


def test_a_tag_that_moves_takes_nothing_along(one: Bench, registry: str, tmp_path: Path) -> None:
    """The base's tag leads elsewhere by the time of the next build: the store knows the first image's layers still."""
    put(MADE, f"{registry}/moving:1", tmp_path / "before")
    first, text = f"{registry}/moved:1", f"FROM {registry}/moving:1\n{LINK}"
    pushed(one, first, text)
    put(sample(media_types=(MEDIA_LAYER,)), f"{registry}/moving:1", tmp_path / "after")
    one.made(text, tags=(Reference.parse(f"{registry}/moved:2"),), outputs=(PushOutput(),), pull=True)
    assert one.problems() == []
    with Store.open(one.root) as store:
        prune(store, Policy(everything=True))
        assert [held.damaged for held in sized_images(store)] == [False, False]
    assert one.problems() == []


def test_what_a_base_claims_is_not_believed(one: Bench, registry: str, tmp_path: Path) -> None:
    """A base whose config lies about its layers is passed on as it is; here its claim counts for nothing."""
    lied = tuple(Layer(layer.descriptor, DiffId.of(b"other")) for layer in MADE.image.layers[:1])
    config = write_config(replace(MADE.image.config, diff_ids=(lied[0].diff_id,), history=()))
    point = replace(MADE.image.config_descriptor, digest=Digest.of(config), size=len(config))
    manifest = write_manifest(point, [lied[0].descriptor])
    root = replace(MADE.image.manifest, digest=Digest.of(manifest), size=len(manifest))
    liar = Image(root, point, replace(MADE.image.config, diff_ids=(lied[0].diff_id,)), lied)
    blobs = MADE.blobs | {point.digest: config, root.digest: manifest}
    put(Sample(liar, blobs), f"{registry}/liar:1", tmp_path / "liar")
    assert pushed(one, f"{registry}/lied:1", f"FROM {registry}/liar:1\n{LINK}").layers[:1] == lied
    with Store.open(one.root) as store:
        assert store.layers.find(lied[0].diff_id) is None
    one.fails(ImageError, f"FROM {registry}/lied:1\nCOPY f /e\n")
    one.fails(ImageError, f"FROM {registry}/liar:1\n{LINK}")


def test_a_push_that_fails_can_be_tried_again(one: Bench, registry: str) -> None:
    """The image that is named here then still knows where its base is."""
    nowhere = Reference.parse(f"127.0.0.1:{free_port()}/app:1")
    one.fails(ImageError, f"FROM {registry}/mother:1\n{LINK}", tags=(nowhere,), outputs=(PushOutput(),))
    assert one.problems() == []
    with Store.open(one.root) as store:
        manifest = store.images.find(nowhere)
        assert manifest is not None
        name = Reference.parse(f"{registry}/second:1")
        push_from_store(manifest, (name,), store, Access(), lambda _: None)
    assert RegistrySource(str(name)).load(AMD64).layers[:2] == MADE.image.layers
