"""Layers at hand: fetched once, never believed before they are read, mended when the disk has damaged them."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from pathlib import Path

import pytest

from builder.errors import ImageError, PybuildError, StoreError
from builder.oci.layout import LayoutSource
from builder.oci.registry import RegistrySource
from builder.stages.borrow import Borrowed
from builder.stages.images import FoundImage, build_platform
from builder.stages.layers import Layers
from builder.store import Store
from builder.values.digest import DiffId
from builder.values.event import Event, Transfer
from builder.values.image import MEDIA_LAYER, MEDIA_LAYER_GZIP, Image
from builder.values.reference import Reference
from builder.values.stack import Stack
from tests.oci.images import Sample, sample
from tests.oci.rogue import QUICK, Answer, Exchange, Rogue, body, running_rogue, status
from tests.stages.builds import GZIP, Bench, base, content, row
from tests.support.bases import LayoutWriter
from tests.support.tars import layer

ZSTD = GZIP.replace("gzip", "zstd")


def _known(bench: Bench, store: Store, layout: str, events: list[Event] | None = None) -> tuple[Layers, Image]:
    """Layers that have learnt of the image of a layout."""
    source = LayoutSource(Path(layout.removeprefix("oci:").removesuffix(":latest")), "latest")
    found = FoundImage(source.load(build_platform()), source)
    layers = Layers(store, events.append if events is not None else bench.events.append)
    layers.learn(found)
    return layers, found.image


def lying_layout(directory: Path, claimed: bytes, given: bytes, media_type: str = GZIP) -> str:
    """An image whose config claims one layer while its manifest gives another."""
    writer = LayoutWriter(directory)
    manifest = writer.image("linux/amd64", {}, [(given, media_type)])
    document = json.loads((directory / "blobs/sha256" / manifest["digest"][7:]).read_text())
    config = json.loads((directory / "blobs/sha256" / document["config"]["digest"][7:]).read_text())
    config["rootfs"]["diff_ids"] = [f"sha256:{hashlib.sha256(claimed).hexdigest()}"]
    document["config"] = writer.blob(json.dumps(config).encode(), document["config"]["mediaType"])
    writer.finish([{**writer.blob(json.dumps(document).encode(), document["mediaType"]), "platform": None}])
    index = json.loads((directory / "index.json").read_text())
    del index["manifests"][0]["platform"]
    (directory / "index.json").write_text(json.dumps(index))
    return f"oci:{directory}:latest"


def _damage(path: Path) -> None:
    os.chmod(path, 0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def test_what_is_absent(bench: Bench) -> None:
    """Absent is what the store has not and a source can give: nothing that is here, however it is compressed."""
    rows = [[row("a", "1")], [row("b", "2")]]
    with Store.open(bench.root) as store:
        layers, image = _known(bench, store, base(bench.room / "base", rows))
        assert layers.absent(image.layers) == image.layers
        layers.prove(image.layers[0])
        assert layers.absent(image.layers) == image.layers[1:]
        assert Layers(store, bench.events.append).absent(image.layers) == ()


def test_a_layer_is_fetched_once(bench: Bench) -> None:
    """What is in the store is not fetched again; people see a transfer from its first to its last byte."""
    layout = base(bench.room / "base", [[row("a", "1")]])
    with Store.open(bench.root) as store:
        layers, image = _known(bench, store, layout)
        layers.prove(image.layers[0])
        layers.prove(image.layers[0])
    sizes = [(event.done, event.total) for event in bench.events if isinstance(event, Transfer)]
    size = image.layers[0].descriptor.size
    assert sizes == [(0, size), (size, size)]


def test_a_claim_is_not_knowledge(bench: Bench) -> None:
    """A fetched blob is not the layer of its diff-id before somebody has read all of it."""
    layout = base(bench.room / "base", [[row("a", "1")]])
    with Store.open(bench.root) as store:
        layers, image = _known(bench, store, layout)
        wanted = image.layers[0]
        assert layers.ensure(wanted) == wanted and store.blobs.has(wanted.descriptor.digest)
        assert store.layers.find(wanted.diff_id) is None
        assert layers.prove(wanted) == wanted
        assert store.layers.find(wanted.diff_id) is not None


def test_an_image_that_lies_about_a_layer(bench: Bench) -> None:
    """A base whose blob is not the layer that its config names is refused, even if nobody looks inside of it, and the
    image that it wanted to poison builds as ever."""
    good, evil = layer([row("who", "good")]), layer([row("who", "evil")])
    liar = lying_layout(bench.room / "liar", good, evil)
    error = bench.fails(ImageError, f"FROM {liar}\nENV A=1\n")
    assert hashlib.sha256(good).hexdigest() in error.message
    honest = base(bench.room / "honest", [[row("who", "good")]])
    assert content(bench.build(f"FROM {honest}\nENV A=1\n"), "/who") == "good"
    assert bench.problems() == []


def test_a_known_index_does_not_vouch_for_a_blob(bench: Bench) -> None:
    """Somebody has looked into an honest layer, whose index stays; an image that claims to have that layer and holds
    another one of the same shape is refused, and gets nothing into the cache of steps."""
    good, evil = layer([row("who", "good")]), layer([row("who", "evil")])
    honest = base(bench.room / "honest", [[row("who", "good")]])
    with Store.open(bench.root) as store, Borrowed(store, bench.events.append) as borrowed:
        source = LayoutSource(bench.room / "honest", "latest")
        image = source.load(build_platform())
        borrowed.learn(FoundImage(image, source))
        borrowed.view(Stack.of(image.layers))
        assert store.layers.has_index(image.layers[0].diff_id)
        assert store.layers.find(image.layers[0].diff_id) is None
    liar = lying_layout(bench.room / "liar", good, evil, MEDIA_LAYER)
    text = "FROM {} AS other\nFROM scratch\nCOPY --from=other /who /who\n"
    bench.fails(ImageError, text.format(liar))
    assert content(bench.build(text.format(honest)), "/who") == "good"


def test_the_same_layer_in_two_compressions(bench: Bench) -> None:
    """Two images may hold one layer as different blobs; whichever source is known first gives its own."""
    tar = layer([row("a", "same")])
    for name, kind in (("one", GZIP), ("two", ZSTD)):
        writer = LayoutWriter(bench.room / name)
        writer.finish([writer.image("linux/amd64", {}, [(tar, kind)])])
    one, two = (f"oci:{bench.room / name}:latest" for name in ("one", "two"))
    image = bench.build(f"FROM {one} AS first\nFROM {two}\nCOPY --from=first a /b\n")
    assert content(image, "/b") == "same" and content(image, "/a") == "same"


@pytest.mark.parametrize("instruction", ["COPY --from=b a /b", "ENV A=2"])
def test_a_damaged_blob_is_put_aside(bench: Bench, instruction: str) -> None:
    """A blob that the disk has damaged is told as what it is, and the same build then works."""
    layout = base(bench.room / "base", [[row("a", "text" * 1000)]])
    with Store.open(bench.root) as store:
        layers, image = _known(bench, store, layout)
        layers.ensure(image.layers[0])
        _damage(store.blobs.path(image.layers[0].descriptor.digest))
    buildfile = f"FROM {layout} AS b\nFROM {layout}\n{instruction}\n"
    assert "was damaged" in bench.fails(StoreError, buildfile).message
    assert content(bench.build(buildfile), "/a").startswith("text")
    assert bench.problems() == []


def test_a_blob_cut_short(bench: Bench) -> None:
    """A blob of another size than it should have is fetched again."""
    layout = base(bench.room / "base", [[row("a", "1")]])
    with Store.open(bench.root) as store:
        layers, image = _known(bench, store, layout)
        layers.ensure(image.layers[0])
        path = store.blobs.path(image.layers[0].descriptor.digest)
        os.chmod(path, 0o644)
        os.truncate(path, 10)
        layers.prove(image.layers[0])
    assert bench.problems() == []


def test_a_layer_that_nobody_can_give(bench: Bench) -> None:
    """A layer that is neither in the store nor in an image of this build is a StoreError with what to do."""
    with Store.open(bench.root) as store:
        layers, image = _known(bench, store, base(bench.room / "base", [[row("a", "1")]]))
        stranger = Layers(store, bench.events.append)
        assert stranger.known(image.layers[0].diff_id) is None
        assert layers.known(image.layers[0].diff_id) == image.layers[0]
        with pytest.raises(StoreError, match="missing from the store") as caught:
            stranger.ensure(image.layers[0])
        assert "--no-cache" in (caught.value.hint or "")


def test_the_view_of_a_stack(bench: Bench) -> None:
    """The merged view has what the upper layer left of the lower one; contents come from the layer that holds them."""
    lower = [row("d"), row("d/old", "1"), row("d/kept", "2")]
    upper = [row("d"), row("d/.wh.old", ""), row("d/new", "3")]
    with Store.open(bench.root) as store:
        layers, image = _known(bench, store, base(bench.room / "base", [lower, upper]))
        stack = Stack.of(image.layers)
        view = layers.view(stack)
        assert view.children(b"d") == [b"kept", b"new"]
        wanted = [located for name in (b"d/kept", b"d/new") if (located := view.get(name)) is not None]
        opener = layers.contents(stack, wanted)
        texts = []
        for located in wanted:
            fd = opener(located)()
            texts.append(os.read(fd, 100))
            os.close(fd)
        assert texts == [b"2", b"3"]
        assert layers.view(stack) is view


def test_a_small_file_is_read_out_of_its_layer_once(bench: Bench) -> None:
    """What was read once is known, also for stacks with more layers on top that leave the file alone."""
    lower, upper = [row("etc"), row("etc/passwd", "names")], [row("other", "2")]
    with Store.open(bench.root) as store:
        layers, image = _known(bench, store, base(bench.room / "base", [lower, upper]))
        assert layers.read_small(Stack.of(image.layers[:1]), b"etc/passwd", 10) == b"names"
        layers.blob_path(image.layers[0]).unlink()
        assert layers.read_small(Stack.of(image.layers), b"etc/passwd", 10) == b"names"


def test_small_files_are_bounded(bench: Bench) -> None:
    """A small file is read through links; what is missing or no file is empty; what is too large is refused."""
    rows = [row("etc"), row("etc/real", "names"), {"path": "etc/passwd", "type": "symlink", "to": "/etc/real"}]
    with Store.open(bench.root) as store:
        layers, image = _known(bench, store, base(bench.room / "base", [[*rows, row("big", "x" * 100)]]))
        stack = Stack.of(image.layers)
        assert layers.read_small(stack, b"etc/passwd", 10) == b"names"
        assert layers.read_small(stack, b"etc/group", 10) == b""
        assert layers.read_small(stack, b"etc", 10) == b""
        with pytest.raises(PybuildError, match="larger than 10 bytes"):
            layers.read_small(stack, b"big", 10)


def test_made_layers_are_known(bench: Bench) -> None:
    """A layer that a build has made is known to later ones by its diff-id, while its blob is there."""
    bench.file("a", "1")
    image = bench.build("FROM scratch\nCOPY a /\n")
    with Store.open(bench.root) as store:
        diff_id = DiffId.parse(image.diff_ids[0])
        known = Layers(store, bench.events.append).known(diff_id)
        assert known is not None
        store.blobs.discard(known.descriptor.digest)
        assert Layers(store, bench.events.append).known(diff_id) is None


@pytest.mark.parametrize("damage", [b"", b"\0\0\0", b'{"version":1}\nnot json\n'])
def test_a_damaged_index_is_made_again(bench: Bench, damage: bytes) -> None:
    """An index that the disk has damaged is made anew from its blob, and the build goes on."""
    layout = base(bench.room / "indexed", [[row("a", "1")]])
    bench.file("f", "new")
    bench.build(f"FROM {layout}\nCOPY f /f\n")
    assert bench.result is not None
    with Store.open(bench.root) as store:
        index = store.layers.index_path(bench.result.image.layers[0].diff_id)
    index.chmod(0o600)
    index.write_bytes(damage)
    image = bench.build(f"FROM {layout}\nCOPY f /g\n")
    assert (content(image, "/a"), content(image, "/g")) == ("1", "new")
    assert bench.problems() == []


FOUR = sample(media_types=(MEDIA_LAYER_GZIP,) * 4)


def _blob(made: Sample, number: int, repository: str = "app") -> str:
    """Where a registry has a layer."""
    return f"/v2/{repository}/blobs/{made.image.layers[number].descriptor.digest}"


def _remote(rogue: Rogue, store: Store, events: list[Event]) -> tuple[Layers, Image]:
    """Layers that have learnt of an image of four layers in a registry."""
    rogue.serve("app", FOUR)
    source = RegistrySource(Reference.parse(f"{rogue.address}/app:1"), patience=QUICK)
    layers = Layers(store, events.append)
    image = source.load(build_platform())
    layers.learn(FoundImage(image, source))
    return layers, image


def test_layers_come_at_the_same_time(bench: Bench) -> None:
    """A registry that answers none of four requests before it has all of them is no reason to wait."""
    together = threading.Barrier(4)

    def after_all(answer: Answer) -> Answer:
        def waiting(exchange: Exchange) -> None:
            together.wait(5)
            answer(exchange)

        return waiting

    with running_rogue() as rogue, Store.open(bench.root) as store:
        layers, image = _remote(rogue, store, bench.events)
        for number in range(4):
            rogue.routes[_blob(FOUR, number)] = after_all(rogue.routes[_blob(FOUR, number)])
        assert layers.prove_all(image.layers) == image.layers
        assert all(store.layers.find(layer.diff_id) for layer in image.layers)
    assert len({event.what for event in bench.events if isinstance(event, Transfer)}) == 4


def test_the_same_layer_twice_is_fetched_once(bench: Bench) -> None:
    """In one stack, and by several threads that want the whole stack."""
    with running_rogue() as rogue, Store.open(bench.root) as store:
        layers, image = _remote(rogue, store, bench.events)
        wanted = (*image.layers, *image.layers)
        threads = [threading.Thread(target=layers.ensure_all, args=(wanted,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert layers.ensure_all(wanted) == wanted
        assert [rogue.count(_blob(FOUR, number)) for number in range(4)] == [1] * 4


def test_what_is_here_needs_no_thread(bench: Bench) -> None:
    """A build whose layers are all in the store looks them up and no more."""
    with running_rogue() as rogue, Store.open(bench.root) as store:
        layers, image = _remote(rogue, store, bench.events)
        layers.prove_all(image.layers)
        asked, began = len(rogue.requests), threading.active_count()
        assert layers.prove_all(image.layers) == layers.ensure_all(image.layers) == image.layers
        assert threading.active_count() == began
        assert len(rogue.requests) == asked


def test_the_first_error_stops_the_other_layers(bench: Bench) -> None:
    """A layer that the registry lacks is told at once, though others would take long; none of those is kept."""

    def drop_by_drop(exchange: Exchange) -> None:
        blob = FOUR.layer_bytes(0)
        exchange.begin(200, Content_Length=len(blob))
        for at in range(len(blob)):
            if not exchange.write(blob[at : at + 1]):
                return
            time.sleep(0.2)

    with running_rogue() as rogue, Store.open(bench.root) as store:
        layers, image = _remote(rogue, store, bench.events)
        rogue.routes[_blob(FOUR, 0)] = rogue.routes[_blob(FOUR, 1)] = drop_by_drop
        rogue.routes[_blob(FOUR, 2)] = status(404)
        begun = time.monotonic()
        with pytest.raises(ImageError, match="not found"):
            layers.ensure_all(image.layers)
        assert time.monotonic() - begun < 4
        assert not store.blobs.has(image.layers[0].descriptor.digest)
        assert os.listdir(store.blobs.temporary().parent) == ["lock"]


def test_two_stages_of_one_base_fetch_it_once(bench: Bench) -> None:
    """Whoever asks, and in whatever way, each blob comes over the wire once; the image is whole in the store."""
    with running_rogue() as rogue:
        rogue.serve("app", FOUR)
        name = f"{rogue.address}/app:1"
        image = bench.build(f"FROM {name} AS a\nFROM {name}\nCOPY --from=a file1 /copy\n")
        assert content(image, "/copy") == content(image, "/file1")
        assert [rogue.count(_blob(FOUR, number)) for number in range(4)] == [1] * 4
    assert bench.problems() == []


def test_a_busy_registry_gets_fewer_requests_at_a_time(bench: Bench) -> None:
    """One that answers 429 to a second request at the same time gives all layers in the end."""
    alone = threading.Lock()

    def one_at_a_time(answer: Answer) -> Answer:
        def guarded(exchange: Exchange) -> None:
            if not alone.acquire(timeout=0.1):  # the one before has its answer a moment before it lets go
                return exchange.send(429)
            try:
                time.sleep(0.15)
                answer(exchange)
            finally:
                alone.release()

        return guarded

    with running_rogue() as rogue, Store.open(bench.root) as store:
        layers, image = _remote(rogue, store, bench.events)
        for number in range(4):
            rogue.routes[_blob(FOUR, number)] = one_at_a_time(body(FOUR.layer_bytes(number)))
        assert layers.ensure_all(image.layers) == image.layers
