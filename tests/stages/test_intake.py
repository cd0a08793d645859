"""Images taken into the store under names."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.docker_archive import DockerArchiveSource
from builder.oci.docker_save import write_docker_archive
from builder.oci.layout import LayoutSource, blobs_of, write_layout
from builder.oci.registry import RegistrySource
from builder.stages.images import build_platform
from builder.stages.intake import pull, references, take_in
from builder.store import Store
from builder.values.digest import Digest
from builder.values.event import Event, Note
from builder.values.platform import Platform
from builder.values.reference import Reference
from tests.oci.images import Sample, sample
from tests.registry import push, running_registry
from tests.stages.builds import Bench

MADE = sample(build_platform())
OTHER = sample(Platform("linux", "riscv64"))


def names_in(store: Store) -> dict[str, Digest]:
    """The names of the store."""
    return {image.name: image.manifest.digest for image in store.images.all()}


def layout_of(made: Sample, directory: Path, name: str = "app:1") -> LayoutSource:
    """A layout with the image under a name."""
    made.write_blobs(directory / "given")
    names = (Reference.parse(name),)
    write_layout(directory / "layout", made.image, lambda digest: directory / "given" / digest.hex, names)
    return LayoutSource(directory / "layout", None)


def test_an_image_of_a_registry_gets_the_name_that_it_has_there(bench: Bench) -> None:
    """And the store remembers where it was had."""
    layout_of(MADE, bench.room)
    with running_registry(bench.room) as address, Store.open(bench.root) as store:
        name = f"{address}/intake/app:1"
        push(f"oci:{bench.room}/layout:1", name)
        taken = pull(RegistrySource(Reference.parse(name)), None, store, bench.events.append)
        assert names_in(store) == {name: taken.digest}
        assert taken.names == (Reference.parse(name),)
        assert store.pulled.find(Reference.parse(name), build_platform()) is not None
    assert bench.problems() == []


def test_an_image_of_an_archive_gets_the_name_that_stands_there(bench: Bench) -> None:
    """Of a layout its full name, of a docker archive its tags."""
    source = layout_of(MADE, bench.room, "localhost/app:1")
    given = bench.room / "given"
    tagged = (Reference.parse("one:1"), Reference.parse("two:2"))
    write_docker_archive(bench.room / "a.tar", MADE.image, lambda digest: given / digest.hex, tagged)
    with Store.open(bench.root) as store:
        pull(source, None, store, bench.events.append)
        assert list(names_in(store)) == ["localhost/app:1"]
        pull(DockerArchiveSource(bench.room / "a.tar", None), None, store, bench.events.append)
        assert list(names_in(store))[1:] == ["docker.io/library/one:1", "docker.io/library/two:2"]


def test_a_name_appears_only_when_the_image_is_whole(bench: Bench) -> None:
    """A layer that is damaged on the way leaves no name."""
    source = layout_of(MADE, bench.room)
    victim = bench.room / "layout/blobs/sha256" / MADE.image.layers[1].descriptor.digest.hex
    victim.unlink()
    victim.write_bytes(bytes(MADE.image.layers[1].descriptor.size))
    with Store.open(bench.root) as store:
        with pytest.raises(ImageError, match="damaged"):
            pull(source, None, store, bench.events.append)
        assert names_in(store) == {}
        assert not store.blobs.has(MADE.image.layers[1].descriptor.digest)
    assert bench.problems() == []


def test_the_platform_that_is_asked_for_must_be_there(bench: Bench) -> None:
    """Another is refused where one was asked for, and taken with a note where not."""
    source = layout_of(OTHER, bench.room)
    with Store.open(bench.root) as store:
        with pytest.raises(ImageError, match="there is no image for") as caught:
            pull(source, build_platform(), store, bench.events.append)
        assert caught.value.hint == "there is one for linux/riscv64 only"
        pull(source, None, store, bench.events.append)
        pull(source, Platform("linux", "riscv64"), store, bench.events.append)
        assert list(names_in(store)) == ["docker.io/library/app:1"]
    notes = [event.text for event in bench.events if isinstance(event, Note)]
    assert notes == [f"{source.name} is an image for linux/riscv64, and this machine is {build_platform()}"]


def test_an_image_without_a_name_is_kept_all_the_same(bench: Bench) -> None:
    """Its digest leads to it."""
    source = layout_of(MADE, bench.room)
    image = source.load(build_platform())
    with Store.open(bench.root) as store:
        taken = take_in(source, image, (), store, bench.events.append)
        assert taken.names == () and taken.digest == image.manifest.digest
        assert all(store.blobs.has(blob.digest) for blob in blobs_of(image))


def test_a_strangers_names_are_judged() -> None:
    """What is no name is left out with a note, and so is one that says which bytes it is."""
    events: list[Event] = []
    titles = ("app:1", "docker.io/library/app:1", "../../x", "App:1", "\x1b[2J", "app@sha256:" + "0" * 64, "", "b")
    assert references(titles, "a.tar", events.append) == (Reference.parse("app:1"), Reference.parse("b"))
    notes = [event.text for event in events if isinstance(event, Note)]
    assert len(notes) == 5 and all(note.startswith("a.tar: ") for note in notes)
    assert not any("\x1b" in note for note in notes)
