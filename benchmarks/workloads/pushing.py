"""Images on their way to a registry."""

from __future__ import annotations

from collections.abc import Mapping

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

    def measure(self, turn: Turn) -> Mapping[str, Run]:
        """To a fresh registry each time."""
        if turn.number == 0:
            build = Build(turn.write("FROM scratch\nCOPY . /data\n"), self._context)
            turn.run(turn.tool.build(build, turn.kept))
        with registry(turn.place.directory / "registry") as address:
            commands = turn.tool.push("bench:1", f"{address}/pushed:1", turn.kept)
            return {"7": turn.measured(commands), "7 again": turn.measured(commands)}

    def results(self, turn: Turn) -> Mapping[str, Listing]:
        """What was pushed, as the store has it."""
        found = turn.listing(turn.kept)
        return {"7": found, "7 again": found}


class ThinBuild:
    """8: FROM a registry, COPY, CMD, push to the same registry, from an empty store and without any RUN."""

    most_runs = HEAVY
    floors: tuple[Floor, ...] = ()

    def __init__(self, materials: Materials, base: str, title: str) -> None:
        self.rows = (Row("8", title, 0.3),)
        self._base, self._context, self._address = materials.base(base), materials.files(10), materials.address

    def measure(self, turn: Turn) -> Mapping[str, Run]:
        """The registry has the base, and never had this image."""
        buildfile = turn.write(f'FROM {self._base}\nCOPY . /srv\nLABEL turn="{turn.place.directory}"\nCMD ["sh"]\n')
        build = Build(buildfile, self._context, push=self._name(turn))
        return {"8": turn.measured(turn.tool.build(build, turn.place))}

    def results(self, turn: Turn) -> Mapping[str, Listing]:
        """The base and ten files."""
        return {"8": turn.listing(turn.place, self._name(turn))}

    def _name(self, turn: Turn) -> str:
        return f"{self._address}/{turn.place.directory.name}:1"
