"""The step cache from outside: what runs again, what does not, and that what does not run needs no namespace."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import pytest

from tests.support.command import Ended, Pybuild
from tests.support.images import read_layout

pytestmark = pytest.mark.kernel

BUILDFILE = """
FROM {base} AS tools
RUN echo tool >/tool
FROM {base}
ARG WHO=world
WORKDIR /srv/app
RUN echo first >first
COPY file ./
COPY --from=tools /tool ./
RUN cat file tool >both; echo $WHO >who
ADD tree tree/
RUN echo last >last
"""
TITLES = (
    ("RUN echo tool",),
    ("WORKDIR /srv/app", "RUN echo first", "COPY file", "COPY --from", "RUN cat", "ADD tree", "RUN echo last"),
)
ALL = [title for titles in TITLES for title in titles]


@pytest.fixture
def room(pybuild: Pybuild, busybox: str) -> Pybuild:
    """The Buildfile and its context."""
    pybuild.write("Buildfile", BUILDFILE.format(base=busybox))
    pybuild.write("file", "one\n")
    pybuild.write("tree/a", "a\n")
    pybuild.write("tree/below/b", "b\n")
    return pybuild


def ran(ended: Ended) -> list[str]:
    """The steps that were not taken from the cache, in their order."""
    return [title for title in ALL for line in ended.err.splitlines() if f"] {title}" in line]


def without_namespaces(pybuild: Pybuild, *words: str) -> Ended:
    """Run the command where the kernel lets nobody make a user, mount or pid namespace."""
    command = shlex.join(pybuild.argv(*words))
    zero = "".join(f"echo 0 >/proc/sys/user/max_{kind}_namespaces; " for kind in ("user", "mnt", "pid"))
    return pybuild.run("unshare", "sh", "-c", f"set -e; {zero}exec {command}", status=None)


def digest(pybuild: Pybuild, *words: str) -> str:
    """Build; the image's digest."""
    return pybuild.run("-q", *words, ".").out.strip()


def test_the_first_build_runs_all(room: Pybuild) -> None:
    """Nothing is cached in an empty store."""
    assert ran(room.run(".")) == ALL


def test_a_second_build_runs_nothing(room: Pybuild) -> None:
    """Every step is cached, and the image is the same to the byte."""
    before = digest(room)
    again = room.run(".")
    assert ran(again) == [] and again.err.count("CACHED") == len(ALL)
    assert digest(room) == before


def test_a_second_build_needs_no_namespace(room: Pybuild) -> None:
    """It succeeds where no namespace can be made; there a build that has something to run says what is missing."""
    before = digest(room)
    assert without_namespaces(room, "-q", ".").out.strip() == before
    room.write("tree/a", "changed\n")
    refused = without_namespaces(room, ".")
    assert refused.status == 6 and "namespace" in refused.err
    assert ran(refused) == ["ADD tree", "RUN echo last"]  # what needs no namespace was done


def test_a_build_without_run_needs_no_namespace(room: Pybuild, busybox: str) -> None:
    """COPY, ADD and WORKDIR on a base that was never unpacked."""
    room.write("Buildfile", f"FROM {busybox}\nWORKDIR /w\nCOPY file .\nCOPY --chown=app tree t/\nENV A=b\n")
    assert without_namespaces(room, ".").status == 0
    assert not any(room.store.glob("pybuild/snapshots/*"))


def test_times_do_not_count(room: Pybuild) -> None:
    """Touched files, a moved context and another order of making it leave the cache alone."""
    before = digest(room)
    for path in (*room.room.rglob("*"), room.room):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert digest(room) == before
    elsewhere = room.room.parent / "elsewhere"
    shutil.copytree(room.room, elsewhere)
    assert digest(Pybuild(elsewhere, room.store)) == before


@pytest.mark.parametrize(
    ("name", "text", "first"),
    [
        ("file", "two\n", "COPY file"),
        ("tree/below/b", "B\n", "ADD tree"),
        ("tree/new", "", "ADD tree"),
    ],
)
def test_a_changed_file(room: Pybuild, name: str, text: str, first: str) -> None:
    """The step that takes the file runs, and all that follow it."""
    room.run(".")
    room.write(name, text)
    assert ran(room.run(".")) == ALL[ALL.index(first) :]


def test_a_changed_mode(room: Pybuild) -> None:
    """A file's mode is part of what is copied."""
    room.run(".")
    (room.room / "file").chmod(0o755)
    assert ran(room.run("."))[0] == "COPY file"


def test_a_file_that_nothing_takes(room: Pybuild) -> None:
    """What no step copies is none of its business."""
    room.run(".")
    room.write("unrelated", "")
    assert ran(room.run(".")) == []


def test_a_changed_line(room: Pybuild) -> None:
    """The changed line runs, and all that follow it; a comment or a label is no change to a step."""
    room.run(".")
    text = (room.room / "Buildfile").read_text()
    room.write("Buildfile", "# a comment\n" + text + "LABEL a=b\n")
    assert ran(room.run(".")) == []
    room.write("Buildfile", text.replace("echo first >first", "echo other >first"))
    other = room.run(".")
    assert len(ran(other)) == len(ALL) - 3 and "CACHED" in other.err


def test_a_changed_stage_with_the_same_outcome(room: Pybuild) -> None:
    """A stage that comes to the same file does not make others run that only copy this file."""
    room.run(".")
    text = (room.room / "Buildfile").read_text()
    room.write("Buildfile", text.replace("RUN echo tool >/tool", "RUN echo tool >/tool; touch /unrelated"))
    assert ran(room.run(".")) == ["RUN echo tool"]


def test_a_changed_build_arg(room: Pybuild) -> None:
    """A build arg counts from its ARG on, for the RUN steps that see it."""
    room.run(".")
    assert ran(room.run("--build-arg", "WHO=world", ".")) == []
    changed = ran(room.run("--build-arg", "WHO=you", "."))
    assert "RUN echo tool" not in changed and changed[-1] == "RUN echo last"


def test_no_cache(room: Pybuild) -> None:
    """--no-cache runs everything, and what it made is then the cache."""
    room.run(".")
    assert ran(room.run("--no-cache", ".")) == ALL
    assert ran(room.run(".")) == []


def test_a_failed_step_is_not_remembered(room: Pybuild, busybox: str) -> None:
    """What came before it is; the step itself runs again."""
    marker = Path(room.room) / "file"
    room.write("Buildfile", f"FROM {busybox}\nRUN echo first >/x\nCOPY file /\nRUN grep two /file\n")
    room.run(".", status=1)
    marker.write_text("two\n")
    again = room.run(".")
    assert again.err.count("CACHED") == 1


def test_damage_makes_it_run_again(room: Pybuild) -> None:
    """A layer that is gone from the store is made again; nothing is built on what is not there."""
    room.run("-o", "type=oci,dest=before", ".")
    for path in room.store.glob("blobs/sha256/*"):
        path.unlink()
    assert ran(room.run("-o", "type=oci,dest=after", ".")) == ALL
    before, after = read_layout(room.room / "before"), read_layout(room.room / "after")
    assert {path: node.content for path, node in before.files.items()} == {
        path: node.content for path, node in after.files.items()
    }
