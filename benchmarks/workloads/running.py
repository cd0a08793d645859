"""RUN steps that write much, and stages that do not need each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.floors import Floor, umoci_repack
from benchmarks.listing import listing
from benchmarks.materials import Materials
from benchmarks.values import Build, Listing, Run
from benchmarks.workloads.workload import ANY_NUMBER, HEAVY, Row, Turn

_STAGES = ("one", "two", "three", "four")


class RunWrites:
    """5: a RUN whose files come from a bind mount, so that every tool writes the same, exported as an archive.

    BuildKit leaves the place of the mount in the image: below /run, where no listing looks.
    """

    rows = (Row("5", "RUN that writes 500 MB in 5,000 files, as an OCI archive, gzip", 6.0),)
    most_runs = HEAVY
    floors: tuple[Floor, ...] = ()

    def __init__(self, materials: Materials) -> None:
        self._base, self._context = materials.base("small"), materials.files(materials.size(5000), 100_000)
        self.floors = (umoci_repack("5", self._context),)

    def measure(self, turn: Turn) -> Iterator[tuple[str, Run]]:
        """From an empty store; the base has 2 MB."""
        text = f"FROM {self._base}\nRUN --mount=type=bind,target=/run/in cp -r /run/in /made\n"
        build = Build(turn.write(text), self._context, archive=True)
        yield "5", turn.build(build, turn.place)

    def results(self, turn: Turn) -> Mapping[str, Listing]:
        """What is in the archive."""
        return {"5": listing(turn.place.archive)}


class Stages:
    """6: four stages that sleep two seconds each; a tool that runs one at a time unless told otherwise is told so."""

    rows = (Row("6", "four independent stages, each sleep 2, COPY --from each", 2.3),)
    most_runs = ANY_NUMBER
    floors: tuple[Floor, ...] = ()

    def __init__(self, materials: Materials) -> None:
        self._base, self._context = materials.base("small"), materials.files(10)

    def measure(self, turn: Turn) -> Iterator[tuple[str, Run]]:
        """With the base in the store, and steps that no cache knows."""
        if turn.number == 0:
            warm = Build(turn.write(f"FROM {self._base}\nRUN true\n", "warm"), self._context)
            turn.prepare(warm, turn.kept)
        build = Build(turn.write(self._text(turn.number)), self._context, jobs=len(_STAGES))
        yield "6", turn.build(build, turn.kept)

    def results(self, turn: Turn) -> Mapping[str, Listing]:
        """Four files."""
        return {"6": turn.listing(turn.kept)}

    def _text(self, number: int) -> str:
        stages = [f"FROM {self._base} AS {name}\nRUN sleep 2 && echo {number} > /{name}\n" for name in _STAGES]
        copies = [f"COPY --from={name} /{name} /{name}\n" for name in _STAGES]
        return "".join([*stages, f"FROM {self._base}\n", *copies])
