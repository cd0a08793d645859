"""Names that are exchanged while they are used: no try may ever see the canary's content, or change what is outside.

Each race runs for a second or two; PYBUILD_RACE_S is how many seconds it shall be.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.kernel.beneath import make_point
from builder.lang.ignore import IgnoreRules
from builder.stages.gather import read_buildfile, read_ignore_rules
from builder.tree.flatten_local import write_files
from builder.tree.remove import remove_tree
from builder.values.entry import Entry, Kind
from builder.values.request import BuildRequest
from tests.hostile.buildfiles import MARK, Bench, Ground, a_bench, ground_of, leaks
from tests.hostile.outside import Outside
from tests.hostile.races import RACE_S, Count, copied, for_a_while, swapping

ENOUGH = 50
"""Tries that each race of one process must at least have had."""


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    """What must stay as it is."""
    made = Outside.make(tmp_path / "outside", MARK)
    yield made
    assert not made.faults()


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A context: a file, and a directory with a file of the canary's name."""
    made = tmp_path / "context"
    (made / "d").mkdir(parents=True)
    for name in ("f", "d/canary"):
        (made / name).write_text("harmless" * 8)
    return made


def _judge(count: Count) -> None:
    assert count.tries >= ENOUGH and count.swaps >= ENOUGH and count.refused < count.tries, count
    assert not any(MARK.encode()[:4] in data for data in count.seen), count.seen
    print(f"{count.tries} tries, {count.refused} told that something changed, {count.swaps} exchanges")


def test_a_file_that_becomes_a_link(context: Path, outside: Outside) -> None:
    """A file of the context that is exchanged for a link to the canary is read as it was, or not at all."""
    count = Count()
    (context.parent / "link").symlink_to(outside.path / "canary")
    with swapping(count, (context / "f", context.parent / "link")):
        for_a_while(count, lambda: copied(context, count))
    _judge(count)


def test_a_directory_that_becomes_a_link(context: Path, outside: Outside) -> None:
    """A directory of the context that is exchanged for a link out is never looked into behind the link."""
    count = Count()
    (context.parent / "link").symlink_to(outside.path)
    with swapping(count, (context / "d", context.parent / "link")):
        for_a_while(count, lambda: copied(context, count))
    _judge(count)


def test_a_file_that_becomes_a_pipe(context: Path) -> None:
    """A file that is exchanged for a FIFO keeps nobody waiting."""
    count = Count()
    os.mkfifo(context.parent / "fifo")
    with swapping(count, (context / "f", context.parent / "fifo")):
        for_a_while(count, lambda: copied(context, count))
    _judge(count)


def test_a_buildfile_and_an_ignore_file_that_become_links(context: Path, outside: Outside) -> None:
    """The Buildfile and the ignore file of a context are read in it, whatever they are exchanged for."""
    count = Count()
    pairs = []
    for name in ("Buildfile", ".dockerignore"):
        (context / name).write_text("harmless")
        (context.parent / name).symlink_to(outside.path / "canary")
        pairs.append((context / name, context.parent / name))

    def read() -> None:
        request = BuildRequest(context=context, buildfile=None)
        count.seen.add(read_buildfile(request).text.encode())
        rules = read_ignore_rules(request)
        assert isinstance(rules, IgnoreRules)
        count.seen.add(" ".join(rules.patterns).encode())

    with swapping(count, *pairs):
        for_a_while(count, read)
    _judge(count)


def test_a_directory_of_an_output_that_becomes_a_link(tmp_path: Path, outside: Outside) -> None:
    """Files of an image are written into the directory that there was, never through what it is exchanged for."""
    count = Count()
    out = tmp_path / "out"
    (out / "d" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(outside.path)
    names = (b"d/canary", b"d/inner/canary", b"d/new")
    folders = [(Entry(path, Kind.DIR, 0o755), ()) for path in (b"d", b"d/inner")]
    items = [*folders, *((Entry(name, Kind.FILE, 0o666, size=4), (b"evil",)) for name in names)]
    with swapping(count, (out / "d", tmp_path / "link")):
        for_a_while(count, lambda: write_files(iter(items), str(out)))
    _judge(count)


def test_a_directory_that_becomes_a_link_while_it_is_removed(tmp_path: Path, outside: Outside) -> None:
    """Removing a tree removes nothing behind a link that a directory of it is exchanged for."""
    count = Count()
    tree, away, made = tmp_path / "tree", tmp_path / "link", tmp_path / "made"

    def remove() -> None:
        remove_tree(os.fsencode(away))  # what an exchange has left there
        away.symlink_to(outside.path)
        for name in ("inner", "more"):
            (made / "d" / name).mkdir(parents=True)
            (made / "d" / name / "canary").write_text("x")
        made.rename(tree)
        try:
            remove_tree(os.fsencode(tree))
        except OSError:
            count.refused += 1
            while not _is_removed(tree):
                pass

    with swapping(count, (tree / "d", away)):
        for_a_while(count, remove)
    _judge(count)


def _is_removed(tree: Path) -> bool:
    try:
        remove_tree(os.fsencode(tree))
    except OSError:
        return False
    return True


def test_a_mount_point_below_a_directory_that_becomes_a_link(tmp_path: Path, outside: Outside) -> None:
    """A mount point in a cache that a parallel step changes is made in the step's root, wherever links lead."""
    count = Count()
    root = tmp_path / "root"
    (root / "c" / "d").mkdir(parents=True)
    climbing = "../" * 24 + str(outside.path)
    (root / "c" / "l").symlink_to(climbing)
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)

    def make() -> None:
        os.close(make_point(fd, "/c/d/x/y", True, []))
        os.close(make_point(fd, "/c/d/../d/new", False, []))

    with swapping(count, (root / "c" / "d", root / "c" / "l")):
        for_a_while(count, make)
    os.close(fd)
    _judge(count)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A base, and a store."""
    with a_bench(tmp_path_factory.mktemp("bench")) as made:
        yield made


@pytest.fixture
def ground(tmp_path: Path, bench: Bench) -> Iterator[Ground]:
    """A room with a context."""
    made = ground_of(tmp_path, bench)
    yield made
    assert not made.outside.faults()


def _watch(ground: Ground) -> None:
    """The store's own directories are nobody else's, while it is worked in."""
    if ground.room.store.exists():
        area = ground.room.store / "pybuild"
        for path in (ground.room.store, area, area / "tmp", area / "caches"):
            assert not path.exists() or stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_whole_builds_of_files_that_become_links(ground: Ground) -> None:
    """No build of a context in which files and directories are exchanged for links out brings the canary home."""
    count = Count()
    names = [f"f{number}" for number in range(40)]
    away = ground.room.path / "home"
    pairs = []
    for name in names:
        (ground.context / name).write_text("harmless")
        (away / name).symlink_to(ground.outside.path / "canary")
        pairs.append((ground.context / name, away / name))
    (ground.context / "d").mkdir()
    (ground.context / "d" / "canary").write_text("harmless")
    (away / "d").symlink_to(ground.outside.path)
    pairs.append((ground.context / "d", away / "d"))
    (ground.context / "Buildfile").write_text("FROM scratch\nCOPY . /\nCOPY d* /x/\n")

    def build() -> None:
        verdict = ground.room.run("build", ".", directory="context")
        assert not ground.room.faults(verdict), verdict.text
        assert verdict.status in (0, 4) and MARK not in verdict.text, verdict.text
        count.refused += verdict.status != 0
        _watch(ground)

    with swapping(count, *pairs, pause_s=0.01):  # slow enough for some builds to come to their end
        for_a_while(count, build, 2 * RACE_S)
    assert not leaks(ground.room, 0.0)
    print(f"{count.tries} builds of {len(pairs)} names, {count.refused} refused, {count.swaps} exchanges")


_SWAPPER = """\
FROM {base}
RUN --mount=type=cache,id=shared,target=/c mkdir -p /c/d /c/e; ln -sfn {up}{out} /c/l; \
    end=$(($(busybox date +%s) + {seconds})); n=0; while [ $(busybox date +%s) -lt $end ]; do \
    for i in 1 2 3 4 5 6 7 8 9; do mv -T /c/d /c/t; mv -T /c/l /c/d; mv -T /c/d /c/l; mv -T /c/t /c/d; done; done; true
"""
_RACED = """\
FROM {base}
ARG N
RUN --mount=type=cache,id=shared,target=/c --mount=type=tmpfs,target=/c/d/canary --mount=type=cache,id=b,target=/c/d/x \
    echo evil >/c/d/x/f; echo evil >/c/d/new; true
WORKDIR /c/d
RUN --mount=type=cache,id=shared,target=/c echo evil >canary; echo evil >/c/d/new; true
COPY Buildfile /c/d/canary
"""


@pytest.mark.kernel
def test_a_cache_that_a_parallel_build_changes(ground: Ground) -> None:
    """A build whose mounts, directory and destinations lie in a cache that another one changes stays in its root."""
    import threading

    count = Count()
    seconds = round(2 * RACE_S) + 1
    out = str(ground.outside.path)
    base = f"oci:{ground.bench.layout}"
    swapper = ground.room.path / "context" / "Swapper"
    swapper.write_text(_SWAPPER.format(base=base, up="../" * 24, out=out, seconds=seconds))
    (ground.context / "Buildfile").write_text(_RACED.format(base=base))
    other = threading.Thread(
        target=ground.room.run, args=("build", "-f", "Swapper", "."), kwargs={"directory": "context"}
    )
    other.start()

    def build() -> None:
        verdict = ground.room.run("build", "--build-arg", f"N={count.tries}", ".", directory="context")
        assert not ground.room.faults(verdict), verdict.text
        assert verdict.status in (0, 4, 5) and MARK not in verdict.text, verdict.text
        count.refused += verdict.status != 0

    for_a_while(count, build, 2 * RACE_S)
    other.join()
    assert count.tries >= 2
    assert not leaks(ground.room, 0.0)
    print(f"{count.tries} builds, {count.refused} refused")
