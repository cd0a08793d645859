"""Images on their way to a registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.floors import Floor, skopeo_push
from benchmarks.materials import Materials
from benchmarks.registry import registry
from benchmarks.values import Build, Listing, Run
from benchmarks.workloads.workload import HEAVY, Row, Turn

_MIB = 1 << 20


class Push:
    """7: push an image that was built before to a registry that has nothing, and then once more."""

    rows = (Row("7", "push 150 MB to a registry on loopback", 1.5), Row("7 again", "… again, with nothing new", 0.2))
    most_runs = HEAVY
    floors: tuple[Floor, ...] = ()

    def __init__(self, materials: Materials) -> None:
        self._context = materials.big_files(15, materials.size(10) * _MIB)
        self.floors = (skopeo_push("7", materials.layout_of(self._context)),)

    def measure(self, turn: Turn) -> Iterator[tuple[str, Run]]:
        """To a fresh registry each time."""
        if turn.number == 0:
            build = Build(turn.write("FROM scratch\nCOPY . /data\n"), self._context)
            turn.prepare(build, turn.kept)
        with registry(turn.place.directory / "registry") as address:
            commands = turn.tool.push("bench:1", f"{address}/pushed:1", turn.kept)
            yield "7", turn.measured(commands)
            yield "7 again", turn.measured(commands)

    def results(self, turn: Turn) -> Mapping[str, Listing]:
        """What was pushed, as the store has it."""
        found = turn.listing(turn.kept)
        return {"7": found, "7 again": found}


class ThinBuild:
    """8: FROM a registry, COPY, CMD, push to the same registry, without any RUN: from an empty store, again with
    another COPY, and from an empty store with a COPY that asks nothing of its base.
    """

    most_runs = HEAVY
    floors: tuple[Floor, ...] = ()

    def __init__(self, materials: Materials, base: str, title: str) -> None:
        self.rows = (
            Row("8", title, 0.3),
            Row("8 again", "… another COPY on that base", 0.3),
            Row("8 link", "… with COPY --link, from an empty store", 0.3),
        )
        self._base, self._context, self._address = materials.base(base), materials.files(10), materials.address

    def measure(self, turn: Turn) -> Iterator[tuple[str, Run]]:
        """The registry has the base, and never had this image."""
        yield "8", turn.build(self._build(turn, "8", "COPY . /srv"), turn.place)
        yield "8 again", turn.build(self._build(turn, "8 again", "COPY . /opt"), turn.place)
        if turn.tool.knows_link:
            build = self._build(turn, "8 link", "COPY --link . /srv")
            yield "8 link", turn.build(build, turn.second)

    def results(self, turn: Turn) -> Mapping[str, Listing]:
        """The base and ten files."""
        return {key: turn.listing(turn.place, self._name(turn, key)) for key in ("8", "8 again")}

    def _build(self, turn: Turn, key: str, copy: str) -> Build:
        text = f'FROM {self._base}\n{copy}\nLABEL turn="{turn.place.directory}"\nCMD ["sh"]\n'
        return Build(turn.write(text), self._context, push=self._name(turn, key))

    def _name(self, turn: Turn, key: str) -> str:
        return f"{self._address}/{turn.place.directory.name}-{key.replace(' ', '-')}:1"
