"""Layers that mean harm, on a base with a shell, with a step run on top of them by the real command; and the proof that
the judge would notice: the same layers given to a careless unpacker.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.hostile import layer_fields, layers
from tests.hostile.judged import Room
from tests.hostile.naive import unpack_naively
from tests.hostile.outside import Outside
from tests.hostile.tars import LayerCase, file, folder
from tests.support.bases import BUSYBOX, LayoutWriter
from tests.tree.rawtar import END

CASES = (*layers.CASES, *layer_fields.CASES)
MEDIA_LAYER = "application/vnd.oci.image.layer.v1.tar"

BUILDFILE = """\
FROM oci:../image
RUN ["/bin/busybox", "true"]
COPY canary-of-context /x/canary
"""


def base_layer() -> bytes:
    """The layer below: a program, and the files that a step needs."""
    program = BUSYBOX.read_bytes()
    passwd = b"root:x:0:0::/:/bin/sh\n"
    parts = (folder(b"bin"), file(b"bin/busybox", program, 0o755), folder(b"etc"), file(b"etc/passwd", passwd))
    return b"".join(parts) + END


@pytest.fixture(scope="session")
def base() -> bytes:
    """The layer below, made once."""
    return base_layer()


@pytest.mark.kernel
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_build_on_a_hostile_layer_stays_inside(case: LayerCase, base: bytes, tmp_path: Path) -> None:
    """Nothing outside changes, nothing breaks, nothing hangs or swells, and the store is sound."""
    room, outside = Room.make(tmp_path / "room"), Outside.make(tmp_path / "outside")
    image = LayoutWriter(room.path / "image")
    tar = case.make(os.fsencode(outside.path))
    config = {"Env": ["PATH=/bin"], "User": "root"}
    image.finish([image.image("linux/amd64", config, [(base, MEDIA_LAYER), (tar, MEDIA_LAYER)])])
    context = room.path / "context"
    context.mkdir()
    (context / "Buildfile").write_text(BUILDFILE)
    (context / "canary-of-context").write_text("new")
    verdict = room.run("build", ".", directory="context")
    faults = [*room.faults(verdict, "image"), *case.outcome.faults(verdict), *outside.faults()]
    assert not faults, f"{faults}\n{verdict.text[-3000:]}"
    assert room.is_sound()


def test_the_judge_finds_out_a_careless_unpacker(tmp_path: Path) -> None:
    """A judge that lets everything pass would let this pass: at least 20 of the layers get out of a naive unpacker."""
    caught = set()
    for number, case in enumerate(layers.CASES):
        place = tmp_path / str(number)
        place.mkdir()
        outside = Outside.make(place / "outside")
        unpack_naively(case.make(os.fsencode(outside.path)), place / "root")
        if outside.faults():
            caught.add(case.name)
        if len(caught) == 20:
            return
    raise AssertionError(f"only these were caught: {sorted(caught)}")


def test_there_are_enough_and_each_has_a_name() -> None:
    """A case is found by its name, and there are at least 150 layers."""
    assert len({case.name for case in CASES}) == len(CASES) >= 150
