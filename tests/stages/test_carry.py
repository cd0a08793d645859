"""Images carried from anywhere to anywhere: the digest stays what it is, and only what is missing is fetched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import ImageError, StoreError, UsageError
from builder.oci.archive import ArchiveSource
from builder.oci.destination import Destination, ToDockerArchive, ToLayout, ToOciArchive, ToRegistry, ToStore
from builder.oci.layout import LayoutSource, blob_file
from builder.oci.listing import ListedSource, listing_of
from builder.oci.manifest import write_index
from builder.oci.open import open_source
from builder.oci.source import ImageSource, Progress
from builder.oci.stored import StoredSource
from builder.stages.carry import Means, Wish, carry, carry_all
from builder.stages.images import build_platform
from builder.store import Store
from builder.values.digest import Digest
from builder.values.event import Note
from builder.values.image import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MEDIA_INDEX,
    MEDIA_LAYER_GZIP,
    MEDIA_MANIFEST,
    Descriptor,
)
from builder.values.output import MediaTypes, Stream
from builder.values.platform import Platform
from builder.values.reference import Reference
from tests.oci.images import Sample, as_json, sample
from tests.oci.schemas import check_schema
from tests.registry import push, running_registry
from tests.stages.builds import Bench

HERE = build_platform()
FAR = Platform("linux", "riscv64")
MADE = sample(HERE, (MEDIA_LAYER_GZIP, MEDIA_LAYER_GZIP))
THERE = sample(FAR, (MEDIA_LAYER_GZIP,))
NAME = Reference.parse("localhost/app:1")
KINDS = ("registry", "layout", "oci-archive", "docker-archive", "store")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real one."""
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def means(bench: Bench) -> Iterator[Means]:
    """An empty store, and somebody who hears of things."""
    with Store.open(bench.root) as store:
        yield Means(store, bench.events.append)


def layout_of(*images: Sample, directory: Path) -> LayoutSource:
    """A layout with these images, several of them in an index."""
    for made in images:
        made.write_blobs(directory / "blobs" / "sha256")
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    root = images[0].image.manifest
    if len(images) > 1:
        entries = [replace(made.image.manifest, platform=made.image.config.platform) for made in images]
        data = write_index(entries)
        root = Descriptor(MEDIA_INDEX, Digest.of(data), len(data))
        blob_file(directory, root).write_bytes(data)
    (directory / "index.json").write_bytes(write_index([root]))
    return LayoutSource(directory, None)


def place(kind: str, directory: Path, registry: str) -> tuple[Destination, Callable[[Store], ImageSource]]:
    """A destination of a kind, and how to read what came to it."""
    name = replace(NAME, registry=registry, repository=f"{directory.name.lower()}/app")
    match kind:
        case "registry":
            return ToRegistry(name), lambda _: open_source(f"docker://{name}")
        case "layout":
            return ToLayout(directory / "l", "1"), lambda _: open_source(f"oci:{directory}/l:1")
        case "oci-archive":
            return ToOciArchive(directory / "o.tar", "1"), lambda _: open_source(f"oci-archive:{directory}/o.tar:1")
        case "docker-archive":
            source = f"docker-archive:{directory}/d.tar:{NAME}"
            return ToDockerArchive(directory / "d.tar", NAME), lambda _: open_source(source)
    return ToStore(NAME), stored


def stored(store: Store) -> ImageSource:
    """What the store has under the name."""
    manifest = store.images.find(NAME)
    assert manifest is not None
    return StoredSource("app", manifest, store)


@pytest.mark.parametrize("last", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_an_image_goes_from_any_place_to_any_other(
    first: str, last: str, tmp_path: Path, means: Means, registry: str
) -> None:
    """With the same manifest, config and layers at the end."""
    (tmp_path / f"{first}1").mkdir()
    (tmp_path / f"{last}2").mkdir()
    there, read = place(first, tmp_path / f"{first}1", registry)
    assert carry(layout_of(MADE, directory=tmp_path / "given"), there, Wish(), means) == MADE.image.manifest.digest
    source = read(means.store)
    there, read = place(last, tmp_path / f"{last}2", registry)
    assert carry(source, there, Wish(), means) == MADE.image.manifest.digest
    arrived = read(means.store)
    image = arrived.load(HERE)
    assert image.manifest.digest == MADE.image.manifest.digest
    assert image.layers == MADE.image.layers
    for number, layer in enumerate(image.layers):
        arrived.fetch(layer.descriptor, tmp_path / "out", lambda _: None)
        assert (tmp_path / "out").read_bytes() == MADE.layer_bytes(number)


class Counting(LayoutSource):
    """A layout that counts what is fetched from it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, None)
        self.fetched: list[Digest] = []

    def fetch(self, layer: Descriptor, into: Path, progress: Progress) -> None:
        self.fetched.append(layer.digest)
        super().fetch(layer, into, progress)


@pytest.mark.parametrize("kind", ["registry", "layout"])
def test_what_is_there_is_not_fetched(kind: str, tmp_path: Path, means: Means, registry: str) -> None:
    """Neither a second time, nor where another image has brought a layer."""
    base = sample(HERE, (MEDIA_LAYER_GZIP,))
    layout_of(base, directory=tmp_path / "base")
    layout_of(MADE, directory=tmp_path / "given")
    there, _ = place(kind, tmp_path, registry)
    carry(LayoutSource(tmp_path / "base", None), there, Wish(), means)
    source = Counting(tmp_path / "given")
    carry(source, there, Wish(), means)
    assert source.fetched == [MADE.image.layers[1].descriptor.digest]
    again = Counting(tmp_path / "given")
    carry(again, there, Wish(), means)
    assert again.fetched == []


def test_inside_a_registry_blobs_are_mounted(tmp_path: Path, means: Means, registry: str, bench: Bench) -> None:
    """Nothing comes and nothing goes."""
    layout_of(MADE, directory=tmp_path / "given")
    there = [ToRegistry(Reference.parse(f"{registry}/mounted/{name}:1")) for name in ("one", "two")]
    carry(LayoutSource(tmp_path / "given", None), there[0], Wish(), means)
    bench.events.clear()
    assert carry(open_source(str(there[0])), there[1], Wish(), means) == MADE.image.manifest.digest
    assert bench.events == []


def test_schema_2_keeps_its_bytes_between_registries(tmp_path: Path, means: Means, registry: str) -> None:
    """Media types are changed only where they must be, or where somebody asks."""
    layout_of(MADE, directory=tmp_path / "given")
    push(f"oci:{tmp_path}/given", f"{registry}/v2s2/app:1", "--format=v2s2")
    source = open_source(f"{registry}/v2s2/app:1")
    image = source.load(HERE)
    assert image.manifest.media_type == DOCKER_MANIFEST
    there = ToRegistry(Reference.parse(f"{registry}/v2s2/copy:1"))
    assert carry(source, there, Wish(), means) == image.manifest.digest
    (tmp_path / "d").mkdir()
    archive = ToDockerArchive(tmp_path / "d.tar", NAME)
    assert carry(source, archive, Wish(), means) == image.manifest.digest
    assert ArchiveSource(tmp_path / "d.tar", None).load(HERE).manifest.digest == image.manifest.digest
    digest = carry(source, ToLayout(tmp_path / "l", "1"), Wish(), means)
    arrived = LayoutSource(tmp_path / "l", "1").load(HERE)
    assert digest == arrived.manifest.digest != image.manifest.digest
    assert arrived.manifest.media_type == MEDIA_MANIFEST
    assert arrived.config_descriptor.digest == image.config_descriptor.digest
    check_schema(blob_file(tmp_path / "l", arrived.manifest).read_bytes(), "image-manifest-schema.json")
    check_schema((tmp_path / "l" / "index.json").read_bytes(), "image-index-schema.json")


def test_media_types_are_changed_on_request(tmp_path: Path, means: Means, registry: str, bench: Bench) -> None:
    """To Docker's, with a note of what they cannot say, and back; zstd is refused."""
    annotated = sample(HERE, (MEDIA_LAYER_GZIP,))
    point, data = annotated.image.manifest, annotated.blobs[annotated.image.manifest.digest]
    document = as_json({**json.loads(data), "annotations": {"a": "b"}})
    point = replace(point, digest=Digest.of(document), size=len(document))
    annotated = Sample(replace(annotated.image, manifest=point), {**annotated.blobs, point.digest: document})
    source = layout_of(annotated, directory=tmp_path / "given")
    there = ToRegistry(Reference.parse(f"{registry}/words/app:1"))
    carry(source, there, Wish(media_types=MediaTypes.DOCKER), means)
    assert open_source(str(there)).load(HERE).manifest.media_type == DOCKER_MANIFEST
    notes = [event.text for event in bench.events if isinstance(event, Note)]
    assert notes == ["Docker's manifest has no place for annotations: a are left out"]
    carry(open_source(str(there)), ToStore(NAME), Wish(media_types=MediaTypes.OCI), means)
    assert stored(means.store).load(HERE).manifest.media_type == MEDIA_MANIFEST
    with pytest.raises(ImageError, match="zstd"):
        carry(layout_of(sample(HERE), directory=tmp_path / "zstd"), there, Wish(media_types=MediaTypes.DOCKER), means)


@pytest.mark.parametrize("list_type", [MEDIA_INDEX, DOCKER_LIST])
def test_every_platform_goes_with_all(list_type: str, tmp_path: Path, means: Means, registry: str) -> None:
    """From a layout to a registry, to another repository, to an archive and to a layout: the same bytes everywhere."""
    layout_of(MADE, THERE, directory=tmp_path / "given")
    if list_type == DOCKER_LIST:
        inner = listing_of(
            "given", LayoutSource(tmp_path / "given", None).root(HERE), LayoutSource(tmp_path / "given", None).read
        )
        data = inner.documents[-1][1].replace(MEDIA_INDEX.encode(), DOCKER_LIST.encode())
        root = Descriptor(DOCKER_LIST, Digest.of(data), len(data))
        blob_file(tmp_path / "given", root).write_bytes(data)
        (tmp_path / "given" / "index.json").write_bytes(write_index([root]))
    source: ImageSource = LayoutSource(tmp_path / "given", None)
    assert isinstance(source, ListedSource)
    digest = source.root(HERE).digest
    kinds = ["registry", "oci-archive", "registry", "layout", "oci-archive"]
    for number, kind in enumerate(kinds):
        (tmp_path / f"step{number}-{len(list_type)}").mkdir()
        there, read = place(kind, tmp_path / f"step{number}-{len(list_type)}", registry)
        assert carry_all(source, there, means) == digest
        source = read(means.store)
        assert isinstance(source, ListedSource) and source.root(HERE).digest == digest
        for made in (MADE, THERE):
            assert source.load(made.image.config.platform).manifest.digest == made.image.manifest.digest


def test_one_platform_is_chosen_of_several(tmp_path: Path, means: Means) -> None:
    """This machine's, or that which is asked for."""
    source = layout_of(MADE, THERE, directory=tmp_path / "given")
    for wish, made in ((Wish(), MADE), (Wish(FAR), THERE)):
        assert carry(source, ToLayout(tmp_path / "out", "1"), wish, means) == made.image.manifest.digest
    with pytest.raises(ImageError, match="no image for linux/s390x"):
        carry(source, ToLayout(tmp_path / "out", "1"), Wish(Platform("linux", "s390x")), means)


@pytest.mark.parametrize("destination", [ToStore(NAME), ToDockerArchive(Path("/nowhere"))])
def test_all_is_not_for_what_holds_one_platform(destination: Destination, tmp_path: Path, means: Means) -> None:
    """Said before anything is done."""
    source = layout_of(MADE, THERE, directory=tmp_path / "given")
    with pytest.raises(UsageError, match="one platform only"):
        carry_all(source, destination, means)


def test_a_whole_name_in_a_layout_is_one_for_docker_too(tmp_path: Path, means: Means) -> None:
    """A lone tag stays what it is."""
    source = layout_of(MADE, directory=tmp_path / "given")
    for tag in ("1", "localhost/app:2", "any+thing:Ä"):
        carry(source, ToLayout(tmp_path / "out", tag), Wish(), means)
        assert LayoutSource(tmp_path / "out", tag).load(HERE) == MADE.image
    entries = json.loads((tmp_path / "out" / "index.json").read_text())["manifests"]
    assert [entry["annotations"].get("io.containerd.image.name") for entry in entries] == [
        None,
        "localhost/app:2",
        None,
    ]


def test_an_image_that_breaks_off_leaves_nothing(tmp_path: Path, means: Means, registry: str) -> None:
    """No archive, no entry in a layout, no tag, no name; and no temporary file."""
    source = layout_of(MADE, directory=tmp_path / "given")
    victim = blob_file(tmp_path / "given", MADE.image.layers[1].descriptor)
    victim.write_bytes(bytes(MADE.image.layers[1].descriptor.size))
    (tmp_path / "broken").mkdir()
    for kind in KINDS:
        there, read = place(kind, tmp_path / "broken", registry)
        with pytest.raises(ImageError, match="is damaged"):
            carry(source, there, Wish(), means)
        with pytest.raises((ImageError, AssertionError)):
            read(means.store).load(HERE)
    assert [path.name for path in (tmp_path / "broken").iterdir()] == ["l"]
    rooms = (tmp_path / "store" / "pybuild" / "tmp").iterdir()
    assert [path.name for room in rooms for path in room.iterdir()] == ["lock"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, means: Means) -> None:
    """One line, and no file that looks like an archive."""
    source = layout_of(MADE, directory=tmp_path / "given")
    for there in (ToDockerArchive(Path("/dev/full")), ToOciArchive(Path("/dev/full"))):
        with pytest.raises(StoreError, match="No space left"):
            carry(source, there, Wish(), means)


def test_a_layout_that_is_none_is_left_alone(tmp_path: Path, means: Means) -> None:
    """A directory with other things in it, and a file."""
    source = layout_of(MADE, directory=tmp_path / "given")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("dear")
    for path in (tmp_path / "home", tmp_path / "home" / "letter"):
        with pytest.raises(StoreError):
            carry(source, ToLayout(path, "1"), Wish(), means)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter"]


def test_a_stream_gets_the_same_archive(tmp_path: Path, means: Means) -> None:
    """Byte by byte."""
    source = layout_of(MADE, directory=tmp_path / "given")
    carry(source, ToDockerArchive(tmp_path / "a.tar", NAME), Wish(), means)
    with open(tmp_path / "b.tar", "wb") as out:
        carry(source, ToDockerArchive(Stream(out.fileno()), NAME), Wish(), means)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
