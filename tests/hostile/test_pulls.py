"""Registries that lie, flood, dawdle and hang up, against `pybuild pull`: one clear line or success, in bounded time
and memory, and a sound store after it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile import documents, transfers
from tests.hostile.judged import Room
from tests.hostile.outcomes import Case
from tests.hostile.server import running_server
from tests.oci.images import sample

CASES = (*documents.CASES, *transfers.CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_pull_ends_well_or_in_one_line(case: Case, tmp_path: Path) -> None:
    """Whatever a registry does, a pull succeeds or says one thing, and leaves a sound store and nothing beside it."""
    room = Room.make(tmp_path / "room")
    image = sample()
    with running_server() as server:
        server.serve(image)
        case.arrange(server, image)
        verdict = room.run("pull", f"{server.address}/app:1")
    faults = [*room.faults(verdict), *case.outcome.faults(verdict)]
    assert not faults, f"{faults}\n{verdict.text[:3000]}"
    assert room.is_sound()


def test_names_of_cases_are_unique() -> None:
    """A case is found by its name."""
    assert len({case.name for case in CASES}) == len(CASES)
