"""Builds of which everything is known already, and the cost of one more step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.floors import Floor
from benchmarks.materials import Materials
from benchmarks.values import Build, Listing, Run
from benchmarks.workloads.workload import ANY_NUMBER, Row, Turn

_EIGHT_STEPS = """\
FROM {base}
ENV COLOUR=green
WORKDIR /work
COPY d0000/f000000 one
RUN cat one > first
COPY d0000/f000001 two
RUN cat two > second
COPY d0000/f000002 three
RUN cat one two three > all
"""
_FEW, _MORE, _QUICK_MORE = 2, 22, 10


class NothingChanged:
    """1: the build of eight steps that has just been done, again."""

    rows = (Row("1", "nothing changed, 8 steps", 0.06),)
    most_runs = ANY_NUMBER
    floors: tuple[Floor, ...] = ()

    def __init__(self, materials: Materials) -> None:
        self._base, self._context = materials.base("small"), materials.files(10)

    def measure(self, turn: Turn) -> Iterator[tuple[str, Run]]:
        """Built once; all turns after that find it."""
        buildfile = turn.kept.directory / "Buildfile"
        build = Build(buildfile, self._context)
        if not buildfile.exists():
            buildfile.write_text(_EIGHT_STEPS.format(base=self._base))
            turn.prepare(build, turn.kept)
        yield "1", turn.build(build, turn.kept)

    def results(self, turn: Turn) -> Mapping[str, Listing]:
        """The image of the eight steps."""
        return {"1": turn.listing(turn.kept)}


class OneMoreStep:
    """2: what each further `RUN true` costs, from builds of few and of more of them that no cache knows.

    Each has another argument, which true ignores: pybuild would run equal ones but once, since they change nothing.
    """

    rows = (Row("2", "each further RUN true", 0.02),)
    most_runs = ANY_NUMBER
    floors: tuple[Floor, ...] = ()

    def __init__(self, materials: Materials) -> None:
        self._base, self._context = materials.base("small"), materials.files(10)
        self._more = _MORE if materials.scale == 1 else _QUICK_MORE

    def measure(self, turn: Turn) -> Iterator[tuple[str, Run]]:
        """The difference of two builds, by the number of steps between them."""
        if turn.number == 0:
            turn.prepare(self._steps(turn, 1, "warm"), turn.kept)
        few = turn.build(self._steps(turn, _FEW, "few"), turn.kept)
        more = turn.build(self._steps(turn, self._more, "more"), turn.kept)
        yield "2", more.less(few, self._more - _FEW)

    def results(self, turn: Turn) -> Mapping[str, Listing]:
        """The image of the longer build."""
        return {"2": turn.listing(turn.kept)}

    def _steps(self, turn: Turn, count: int, label: str) -> Build:
        text = f"FROM {self._base}\nENV TURN={turn.number}-{label}\n" + "".join(
            f"RUN true {number}\n" for number in range(count)
        )
        return Build(turn.write(text, label), self._context)
