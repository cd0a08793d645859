"""Layers become snapshots: those that are missing are made, lowest first, and those that are there are used."""

from __future__ import annotations

import os
import threading

import pytest

from builder.errors import ImageError, PybuildError
from builder.store import Store
from builder.values.digest import ChainId, DiffId
from builder.values.event import Event, Transfer
from builder.values.image import MEDIA_LAYER_GZIP
from builder.values.stack import Stack
from tests.oci.images import sample
from tests.oci.rogue import Exchange, body, running_rogue
from tests.stages.builds import Bench, base, content, row, snapshot
from tests.stages.test_layers import lying_layout
from tests.support.tars import layer

pytestmark = pytest.mark.kernel


def _chains(bench: Bench) -> tuple[ChainId, ...]:
    assert bench.result is not None
    return Stack.of(bench.result.image.layers).chains()


def _forget_snapshots(bench: Bench) -> None:
    (bench.root / "pybuild" / "snapshots").rename(bench.room / "gone")
    (bench.root / "pybuild" / "snapshots").mkdir(mode=0o700)


def _unpacked(bench: Bench) -> int:
    return sum(
        event.verb == "unpack" and event.done == event.total for event in bench.events if type(event) is Transfer
    )


def test_only_what_is_missing_is_unpacked(bench: Bench, busybox: str) -> None:
    """A base is unpacked once; what a RUN made needs no unpacking; what a COPY made is unpacked for the next RUN."""
    bench.file("f", "1")
    bench.build(f"FROM {busybox}\nRUN echo > /a\nRUN echo > /b\n")
    assert _unpacked(bench) == 1
    bench.build(f"FROM {busybox}\nRUN echo > /a\nCOPY f /f\nRUN cat /f > /g\n")
    assert _unpacked(bench) == 1 and len(bench.cached) == 1
    bench.build(f"FROM {busybox}\nRUN echo > /a\nCOPY f /f\nRUN cat /f > /h\n")
    assert _unpacked(bench) == 0


def test_snapshots_that_went_away(bench: Bench, busybox: str) -> None:
    """Snapshots are made again from their blobs, one in the middle of a stack too."""
    buildfile = f"FROM {busybox}\nRUN echo 1 > /a\nRUN echo 2 > /b\n"
    bench.build(buildfile)
    with Store.open(bench.root) as store:
        middle = snapshot(store, _chains(bench)[1])
        assert middle is not None
        store.snapshots.discard(middle)
    image = bench.build(buildfile + "RUN cat /a /b > /c\n")
    assert _unpacked(bench) == 1 and content(image, "/c") == "1\n2\n"
    _forget_snapshots(bench)
    assert content(bench.build(buildfile + "RUN cat /b /a > /c\n"), "/c") == "2\n1\n"


def test_a_run_whose_blob_vanished(bench: Bench, busybox: str) -> None:
    """Where a layer's blob is gone its step is done again, snapshot or not; the image is whole afterwards."""
    buildfile = f"FROM {busybox}\nRUN echo 1 > /a\nRUN echo 2 > /b\n"
    bench.build(buildfile)
    assert bench.result is not None
    (bench.root / "blobs" / "sha256" / bench.result.image.layers[1].descriptor.digest.hex).unlink()
    image = bench.build(buildfile)
    assert bench.started[0] == "RUN echo 1 > /a"
    assert (content(image, "/a"), content(image, "/b")) == ("1\n", "2\n")
    assert bench.problems() == []


def test_a_damaged_blob_of_a_run(bench: Bench, busybox: str) -> None:
    """A blob damaged on the disk whose snapshot is gone: the first build says so, the second makes it anew."""
    buildfile = f"FROM {busybox}\nRUN echo 1 > /a\n"
    bench.build(buildfile)
    assert bench.result is not None
    blob = bench.root / "blobs" / "sha256" / bench.result.image.layers[1].descriptor.digest.hex
    os.chmod(blob, 0o644)
    blob.write_bytes(bytes(reversed(blob.read_bytes())))
    with Store.open(bench.root) as store:
        tree = snapshot(store, _chains(bench)[1])
        assert tree is not None
        store.snapshots.discard(tree)
    with pytest.raises(Exception, match="was damaged"):
        bench.build(buildfile + "RUN cat /a > /b\n")
    assert content(bench.build(buildfile + "RUN cat /a > /b\n"), "/b") == "1\n"
    assert bench.problems() == []


def test_a_base_that_lies_about_a_layer(bench: Bench) -> None:
    """A layer that has not the diff-id that its config says is refused before any step runs on it."""
    liar = lying_layout(bench.room / "liar", layer([row("a", "good")]), layer([row("a", "evil")]))
    error = bench.fails(ImageError, f"FROM {liar}\nRUN true\n")
    assert "sha256:" in error.message and bench.output == ""
    with Store.open(bench.root) as store:
        assert store.layers.find(DiffId.of(layer([row("a", "good")]))) is None


def test_whiteouts_of_a_base(bench: Bench, busybox: str) -> None:
    """What a base's upper layer hides is not there for a step."""
    bench.build(f"FROM {busybox}\nRUN mkdir -p /d/e && echo 1 > /d/e/f && echo 2 > /d/g\n")
    image = bench.build("FROM app:1\nRUN rm -r /d && mkdir /d && echo 3 > /d/h\n")
    assert [path for path in image.files if path.startswith("d/")] == ["d/h"]
    _forget_snapshots(bench)
    bench.build("FROM app:1\nRUN ls -A /d\n")
    assert bench.output == "h\n"


def test_everything_survives_a_round_trip(bench: Bench, busybox: str) -> None:
    """Setuid bits, capabilities, pipes, owners, times and links of a base survive unpacking, a change, and packing."""
    capability = "0100000200200000000000000000000000000000"
    rows = [
        row("bin"),
        {"path": "bin/suid", "type": "file", "mode": "4755", "content": "x", "uid": 3, "gid": 4},
        {
            "path": "bin/cap",
            "type": "file",
            "mode": "0755",
            "content": "y",
            "xattrs": {"security.capability": capability},
        },
        {"path": "bin/hard", "type": "hardlink", "to": "bin/cap"},
        {"path": "pipe", "type": "fifo", "mode": "0640", "uid": 7},
        {"path": "bin/link", "type": "symlink", "to": "suid"},
        row("plain", "z", xattrs={"user.note": "abcd"}),
    ]
    layout = base(bench.room / "odd", [rows])
    copied = f"FROM {busybox}\nCOPY --from=odd / /odd/\nRUN chmod g+s /odd/bin/suid /odd/plain; chmod 600 /odd/pipe\n"
    image = bench.build(copied + "RUN chmod o-x /odd/bin/cap\n", build_contexts=(("odd", layout),))
    suid, cap, pipe, plain = (image.node(f"/odd/{name}") for name in ("bin/suid", "bin/cap", "pipe", "plain"))
    assert suid is not None and cap is not None and pipe is not None and plain is not None
    assert (suid.info.mode, suid.info.uid, suid.info.gid, suid.info.mtime) == (0o6755, 3, 4, 1700000000)
    assert cap.xattrs == {"security.capability": bytes.fromhex(capability)} and cap.info.mode == 0o754
    hard = image.node("/odd/bin/hard")  # a change through one name is the other's no more: overlayfs.rst, "hard links"
    assert hard is not None and (hard.xattrs, hard.info.mode) == (cap.xattrs, 0o755)
    assert (pipe.kind, pipe.info.mode, pipe.info.uid) == ("fifo", 0o600, 7)
    assert plain.xattrs == {"user.note": bytes.fromhex("abcd")} and plain.info.mode == 0o2644
    assert [name for name, info, _ in image.layers[2] if not info.isdir()] == ["odd/bin/suid", "odd/pipe", "odd/plain"]


def test_a_tall_stack(bench: Bench, busybox: str) -> None:
    """130 layers build, and a RUN on top of them sees the lowest and the highest."""
    lines = "".join(f"COPY <<f /d/{number}\n{number}\nf\n" for number in range(130))
    image = bench.build(f"FROM {busybox}\n{lines}RUN ls /d | wc -l > /count; cat /d/0 /d/129 >> /count; rm /d/5\n")
    assert content(image, "/count") == "130\n0\n129\n"
    assert len(image.diff_ids) == 132 and image.node("/d/5") is None


def test_lower_layers_are_unpacked_while_upper_ones_come(bench: Bench) -> None:
    """A registry that keeps the upper layer back until the lower one is unpacked does not stop the build."""
    made = sample(media_types=(MEDIA_LAYER_GZIP,) * 2)
    lower, upper = (layer.descriptor.digest for layer in made.image.layers)
    is_unpacked = threading.Event()

    def hear(event: Event) -> None:
        if event == Transfer("unpack", lower.hex[:12], len(made.blobs[lower]), len(made.blobs[lower])):
            is_unpacked.set()

    def kept_back(exchange: Exchange) -> None:
        assert is_unpacked.wait(10)
        body(made.blobs[upper])(exchange)

    bench.meanwhile = hear
    with running_rogue() as rogue:
        rogue.serve("app", made)
        rogue.routes[f"/v2/app/blobs/{upper}"] = kept_back
        error = bench.fails(PybuildError, f'FROM {rogue.address}/app:1\nRUN ["/none"]\n')
    assert "exit code 127" in error.message
    assert is_unpacked.is_set()
