"""What a step answers when it asks for everything that must not be possible, frozen for each rung and kind of sandbox.

The questions are in room.c, the answers in tests/golden/probe. After a change that is meant, write them anew and read
the difference: `PYBUILD_WRITE_GOLDEN=1 python -m pytest tests/kernel/test_room.py`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.kernel import syscalls
from builder.kernel.spawn import start_worker
from builder.values.capabilities import capabilities_of
from builder.values.crossing import NetworkMode, Ran, RootKind, Rung, RunJob, StepSpec
from builder.values.security import DEFAULT_CAPABILITIES, Security
from tests.kernel.bench import Bench, bench, compiled

pytestmark = pytest.mark.kernel

_OUTPUT = re.compile(r"/\S+/#\d+ \(deleted\)")  # of the temporary file that takes it
GOLDEN = Path(__file__).parents[1] / "golden" / "probe"


@dataclass(frozen=True)
class Case:
    """A room that is asked: the rung, and what is not as by default."""

    rung: Rung = Rung.RANGE
    kind: RootKind = RootKind.OVERLAY
    uid: int = 0
    security: Security = Security.SANDBOX
    network: NetworkMode = NetworkMode.NONE
    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    no_new_privileges: bool = False


CASES = {
    "range": Case(),
    "single": Case(Rung.SINGLE),
    "root": Case(Rung.ROOT),
    "range-copy": Case(kind=RootKind.COPY),
    "range-fuse": Case(kind=RootKind.FUSE),
    "range-host-network": Case(network=NetworkMode.HOST),
    "range-user": Case(uid=1000),
    "range-nested": Case(security=Security.NESTED),
    "single-nested": Case(Rung.SINGLE, security=Security.NESTED),
    "range-no-capabilities": Case(capabilities=(), no_new_privileges=True),
    "range-more-capabilities": Case(capabilities=capabilities_of(("DAC_READ_SEARCH", "NET_ADMIN", "NET_RAW"), ())),
}
ALIKE = {"root": "range", "range-fuse": "range", "range-host-network": "range"}
"""Rooms that answer just as another does; they have no file of their own."""


@pytest.fixture(scope="module", autouse=True)
def _ignored() -> Iterator[None]:
    """Whoever starts us ignores signals, as nohup and runners of jobs do: also 32, for which libc has no name."""
    ignore, default = (struct.pack("=QQQQ", action, 0, 0, 0) for action in (1, 0))  # SIG_IGN, SIG_DFL
    for number in (32, signal.SIGUSR1):
        syscalls._rt_sigaction("", number, ignore, None, 8)
    yield
    for number in (32, signal.SIGUSR1):
        syscalls._rt_sigaction("", number, default, None, 8)


@pytest.fixture(scope="module")
def benches() -> Iterator[Callable[[Case], Bench]]:
    """A bench for each rung and kind of root, with the probe in its image."""
    with tempfile.TemporaryDirectory() as place:
        program = compiled(Path(place), "room", "room_files")
        made: dict[tuple[Rung, RootKind], tuple[Bench, object]] = {}

        def of(case: Case) -> Bench:
            rung = Rung.RANGE if case.rung is Rung.ROOT else case.rung
            key = (rung, case.kind)
            if key not in made:
                manager = bench(rung, case.kind)
                made[key] = (manager.__enter__(), manager)
                shutil.copy(program, made[key][0].image / "bin" / "room")
            return made[key][0]

        yield of
        for _, manager in made.values():
            manager.__exit__(None, None, None)  # type: ignore[attr-defined]


def answers(room: Bench, case: Case) -> str:
    """What the probe says in such a room."""
    step = room.spec(
        *("/bin/room", "-"),
        hostname="there",
        hosts="127.0.0.1 localhost\n",
        uid=case.uid,
        gid=case.uid,
        groups=(case.uid,) if case.uid else (),
        network=case.network,
        security=case.security,
        capabilities=case.capabilities,
        no_new_privileges=case.no_new_privileges,
    )
    if case.rung is not Rung.ROOT:
        outcome = room.perform(step)
        assert outcome.status == 0, outcome.output
        return _OUTPUT.sub("the output", outcome.output)
    return _OUTPUT.sub("the output", str(room.inside(lambda: _as_root(room.base, step))))


def _as_root(base: Path, step: StepSpec) -> str:
    """On the rung ROOT as a container has it: we are root of a user namespace before pybuild starts."""
    with tempfile.TemporaryFile() as output:
        with start_worker(base, Rung.ROOT) as worker:
            assert worker.call(RunJob(step), (output.fileno(),)) == Ran(0)
        output.seek(0)
        return output.read().decode()


@pytest.mark.parametrize("name", CASES)
def test_answers(benches: Callable[[Case], Bench], name: str) -> None:
    """Each question has the answer that it is known to have, in every kind of room."""
    case = CASES[name]
    found = answers(benches(case), case)
    golden = GOLDEN / f"{ALIKE.get(name, name)}.txt"
    if os.environ.get("PYBUILD_WRITE_GOLDEN") and name not in ALIKE:
        golden.write_text(found)
    assert found.splitlines() == [line for line in golden.read_text().splitlines() if _is_asked(line)]


def _is_asked(line: str) -> bool:
    return os.uname().machine == "x86_64" or not line.startswith(("i386 ", "x32 ", "iopl:", "ioperm:"))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_nothing_is_open(path: Path) -> None:
    """No golden file has an answer in capitals that means a hole; a new file is held to it as well."""
    text = path.read_text()
    assert [line for line in text.splitlines() if line.endswith((" OPEN", " OUT", " SHOWN", " UNBOUNDED"))] == []
