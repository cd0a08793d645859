"""A hostile Buildfile and its context as a case, the ground that it stands on, and the judgement over what came of it.

Beside what every run of the command is held to (`judged`), nothing outside may have changed, and what the canaries
outside hold may have been read into nothing: no output, no blob, no cache. The cases of a worker share a store, so that
their base is pulled and unpacked once; it is checked as a whole when they are through.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from builder.store.check import check
from builder.store.store import Store
from tests.hostile.judged import Room, Verdict
from tests.hostile.outcomes import Contained, Outcome
from tests.hostile.outside import Outside
from tests.hostile.tars import file, folder, link
from tests.support.bases import BUSYBOX, LayoutWriter
from tests.tree.rawtar import END

MEDIA_LAYER = "application/vnd.oci.image.layer.v1.tar"
MARK = "the-canary-of-what-lies-outside-5b1c"
"""What the canaries hold: where it is found, something was read that must not be."""

_BIDI = "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
_LARGEST_READ = 8 << 20


@dataclass(frozen=True)
class Shared(Room):
    """A room whose store is somewhere else."""

    place: Path = Path()

    @property
    def store(self) -> Path:
        """Where the command's store is."""
        return self.place


@dataclass(frozen=True)
class Bench:
    """What the cases of a worker share: the layer of a small image with a shell, its layout, and a store."""

    path: Path
    layer: bytes

    @property
    def layout(self) -> Path:
        """The layout of the base."""
        return self.path / "image"

    @property
    def store(self) -> Path:
        """The store."""
        return self.path / "store"


@dataclass(frozen=True)
class Ground:
    """Where a case is: a room with a context, what lies outside, and what is shared. `served` is where the directory
    of that name in the room is served.
    """

    room: Room
    outside: Outside
    bench: Bench
    served: str = "http://127.0.0.1:1"

    @property
    def context(self) -> Path:
        """The build context, which is the directory that the command is started in."""
        return self.room.path / "context"

    def image(self, name: str, config: dict[str, Any], *layers: bytes) -> None:
        """Write the layout of an image that the Buildfile names `oci:../images/NAME`."""
        writer = LayoutWriter(self.room.path / "images" / name)
        writer.finish([writer.image("linux/amd64", config, [(tar, MEDIA_LAYER) for tar in layers])])

    def filled(self, text: str) -> str:
        """A text with the paths of this ground for @OUT@, @CONTEXT@ and @BASE@."""
        text = text.replace("@OUT@", str(self.outside.path)).replace("@CONTEXT@", str(self.context))
        return text.replace("@BASE@", f"oci:{self.bench.layout}").replace("@GIT@", self.served)


ONCE_BROKE = frozenset(
    (
        "COPY --from of a path",
        "FROM a path",
        "FROM a link out",
        "a bind mount from a path",
        "COPY of a file of 10 TB",
        "ignore file: 100,000 rules",
        "ignore file: 20,000 rules by turns",
        "ADD of an archive of entries below 1,900 directories each",
        "a layer of entries below 1,900 directories each, and a RUN on it",
        "a layer of entries below 1,900 directories each, and a COPY on it",
        "ADD of an archive of names that change their kind",
        "USER and --chown, a passwd with a home of NULs",
        "tmpfs at /" + "d/" * 2000,
        "cache at a link of the image to /dev",
        "a tmpfs mount at a link that a step left in a cache: r",
        "a bind mount at a link that a step left in a cache: d",
        "a cache mount of a hostile image's fifo",
        "a base's variables: a NUL",
        "a base's variables: no name",
        "a base's variables: a surrogate",
        "a base with a Shell with a NUL",
        "a base with a WorkingDir of a megabyte",
        "a base's trigger: 100,000 of them",
        "ADD of a repository with ten thousand million files",
        "ADD of a repository with directories 1,500 deep",
        "a command of a megabyte",
    )
)
"""The cases that found something: these are always run."""


def chosen(cases: tuple[BuildCase, ...]) -> tuple[BuildCase, ...]:
    """One in four of the cases and all that once broke: as many as there is time for between two changes.

    All of them where PYBUILD_HOSTILE is `all`.
    """
    if os.environ.get("PYBUILD_HOSTILE") == "all":
        return cases
    return tuple(case for at, case in enumerate(cases) if case.name in ONCE_BROKE or at % 4 == 0)


def nothing(_: Ground) -> None:
    """An empty context."""


@dataclass(frozen=True)
class BuildCase:
    """A Buildfile (None: the maker writes it, or there is none), what makes its context, and what must come of it.

    `words` are those of the build; `then` are commands that are run after it and must be without faults too.
    """

    name: str
    buildfile: str | bytes | None
    outcome: Outcome
    make: Callable[[Ground], None] = nothing
    words: tuple[str, ...] = (".",)
    then: tuple[tuple[str, ...], ...] = ()
    env: tuple[tuple[str, str], ...] = ()


def base_layer() -> bytes:
    """A shell, what it needs, and who is who."""
    names = "sh cat ln mkdir mv rm ls id echo touch true false test readlink head find sleep chmod cp stat env pwd grep"
    parts = [folder(b"bin"), file(b"bin/busybox", BUSYBOX.read_bytes(), 0o755)]
    parts += [link(b"bin/" + name.encode(), b"busybox") for name in names.split()]
    parts += [folder(b"etc"), file(b"etc/passwd", b"root:x:0:0::/:/bin/sh\n"), folder(b"tmp", 0o1777)]
    return b"".join(parts) + END


@contextmanager
def a_bench(path: Path) -> Iterator[Bench]:
    """A fresh one; at the end its store is checked, and given up. Raises AssertionError for a store that is damaged."""
    bench = Bench(path, base_layer())
    writer = LayoutWriter(bench.layout)
    writer.finish([writer.image("linux/amd64", {"Env": ["PATH=/bin"]}, [(bench.layer, MEDIA_LAYER)])])
    yield bench
    problems = damage(bench.store)
    Room.make(path / "last").run("unshare", "rm", "-rf", str(bench.store))  # trees of sub-ids
    assert not problems, problems


def ground_of(place: Path, bench: Bench) -> Ground:
    """A fresh ground in the directory `place`."""
    room = Room.make(place / "room")
    ground = Ground(Shared(room.path, bench.store), Outside.make(place / "outside", MARK), bench)
    ground.context.mkdir()
    return ground


def judge(case: BuildCase, ground: Ground) -> tuple[list[str], Verdict]:
    """Run a case; its faults, and how the build ended."""
    room, began = ground.room, time.time()
    case.make(ground)
    if case.buildfile is not None:
        text = case.buildfile
        data = text if isinstance(text, bytes) else ground.filled(text).encode("utf-8", "surrogateescape")
        (ground.context / "Buildfile").write_bytes(data)
    env = {name: ground.filled(value) for name, value in case.env}
    verdict = room.run("build", *map(ground.filled, case.words), directory="context", env=env)
    faults = [*_faults(ground, verdict), *case.outcome.faults(verdict)]
    for words in case.then:
        after = room.run(*words, directory="context")
        faults += [f"{words[0]}: {fault}" for fault in (*_faults(ground, after), *Contained().faults(after))]
    return [*faults, *ground.outside.faults(), *leaks(room, began), *_left(room)], verdict


def _faults(ground: Ground, verdict: Verdict) -> Iterator[str]:
    yield from ground.room.faults(verdict, "images", "out", "served")
    if MARK in verdict.text:
        yield "it shows what lies outside"
    if any(mark in verdict.text for mark in _BIDI):
        yield "it turns the terminal's text around"


def damage(place: Path) -> list[str]:
    """What is wrong with a store, as `store check` has it."""
    if not place.exists():
        return []
    with Store.open(place) as store:
        return check(store)


def _left(room: Room) -> Iterator[str]:
    """Unfinished work in the store."""
    place = room.store / "pybuild" / "tmp"
    for name in os.listdir(place) if place.exists() else ():
        yield f"unfinished work is left: {name}"


def leaks(room: Room, began: float) -> list[str]:
    """Files of the store since then, and of outputs, that hold what the canaries hold; empty when none was read."""
    found = []
    tops = [room.store / "blobs", room.store / "pybuild" / "caches", room.path / "out"]
    waiting = [path for path in tops if path.is_dir()]
    while waiting:  # without recursion: some of them are deep
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue  # a sub-id's, or too deep
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False) and entry.stat().st_ctime > began - 1:
                found += [f"it was read into {entry.path}"] * _holds_mark(Path(entry.path))
    return found


def _holds_mark(path: Path) -> bool:
    try:
        with open(path, "rb") as stream:
            data = stream.read(_LARGEST_READ)
    except OSError:
        return False  # a sub-id's file: what is in a snapshot is in a blob as well
    return MARK.encode() in _plain(data)


def _plain(data: bytes) -> bytes:
    """The data without its compression; as much of it as there is."""
    try:
        if data[:2] == b"\x1f\x8b":
            return zlib.decompressobj(wbits=31).decompress(data, _LARGEST_READ)
        if data[:4] == b"\x28\xb5\x2f\xfd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    except (zlib.error, zstandard.ZstdError):
        pass
    return data
