"""What more of the same costs: memory of a large image, and time by the number of steps, files and stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.floors import Floor
from benchmarks.materials import Materials
from benchmarks.values import Build, Listing, Run
from benchmarks.workloads.workload import ONCE, MostRuns, Row, Turn

_GIB = 1 << 30
SIZES = {"steps": (10, 100, 200), "files": (1_000, 10_000, 100_000), "stages": (1, 10, 100)}
_QUICK_SIZES = {"steps": (5, 10, 20), "files": (500, 1_000, 2_000), "stages": (1, 5, 10)}


class LargeImage:
    """9: an image of 5 GB; its row is there for the memory."""

    rows = (Row("9", "COPY 5 GB in five files, as an OCI archive, gzip: peak memory", None),)
    most_runs = ONCE
    floors: tuple[Floor, ...] = ()

    def __init__(self, materials: Materials) -> None:
        self._context = materials.big_files(5, materials.size(_GIB))

    def measure(self, turn: Turn) -> Iterator[tuple[str, Run]]:
        """From an empty store."""
        build = Build(turn.write("FROM scratch\nCOPY . /data\n"), self._context, archive=True)
        yield "9", turn.build(build, turn.place)

    def results(self, turn: Turn) -> Mapping[str, Listing]:
        """Nothing: reading 5 GB for each tool takes longer than all else, and 4c has compared the same way."""
        del turn
        return {}


class Growth:
    """10: one build of each size, with the base in the store and steps that no cache knows."""

    most_runs = MostRuns(1, 2)
    floors: tuple[Floor, ...] = ()

    def __init__(self, materials: Materials, kind: str) -> None:
        sizes = SIZES if materials.scale == 1 else _QUICK_SIZES
        self.rows = tuple(Row(f"10 {kind} {size}", f"growth: {size:,} {kind}", None) for size in sizes[kind])
        self._kind, self._sizes = kind, sizes[kind]
        self._base, self._materials = materials.base("small"), materials

    def measure(self, turn: Turn) -> Iterator[tuple[str, Run]]:
        """All sizes, the smallest first."""
        if turn.number == 0:
            warm = Build(turn.write(f"FROM {self._base}\nRUN true\n", "warm"), self._materials.files(10))
            turn.prepare(warm, turn.kept)
        made = {"steps": self._steps, "files": self._files, "stages": self._stages}[self._kind]
        for row, size in zip(self.rows, self._sizes, strict=True):
            yield row.key, turn.build(made(turn, size), turn.kept)

    def results(self, turn: Turn) -> Mapping[str, Listing]:
        """Of the largest."""
        return {self.rows[-1].key: turn.listing(turn.kept)}

    def _steps(self, turn: Turn, size: int) -> Build:
        steps = "".join(f"RUN echo {turn.number} {number} > /one\n" for number in range(size))
        return Build(turn.write(f"FROM {self._base}\nENV SIZE={size}\n{steps}"), self._materials.files(10))

    def _files(self, turn: Turn, size: int) -> Build:
        text = f"FROM {self._base}\nRUN echo {turn.number} {size} > /number\nCOPY . /data\n"
        return Build(turn.write(text), self._materials.files(size, 512))

    def _stages(self, turn: Turn, size: int) -> Build:
        names = [f"s{number}" for number in range(size)]
        stages = [f"FROM {self._base} AS {name}\nRUN echo {turn.number} {size} > /{name}\n" for name in names]
        copies = [f"COPY --from={name} /{name} /{name}\n" for name in names]
        return Build(turn.write("".join([*stages, f"FROM {self._base}\n", *copies])), self._materials.files(10))
