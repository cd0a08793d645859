"""Registries that take what they are given in odd ways, against `pybuild push`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile import uploads
from tests.hostile.judged import Room
from tests.hostile.outcomes import Case
from tests.hostile.server import running_server
from tests.oci.images import sample


@pytest.mark.parametrize("case", uploads.CASES, ids=lambda case: case.name)
def test_a_push_ends_well_or_in_one_line(case: Case, tmp_path: Path) -> None:
    """Whatever a registry does with it, a push succeeds or says one thing; the image stays in the store."""
    room = Room.make(tmp_path / "room")
    image = sample()
    with running_server() as server:
        server.serve(image)
        assert room.run("pull", f"{server.address}/app:1").status == 0
        case.arrange(server, image)
        verdict = room.run("push", "--creds", "name:password", f"{server.address}/app:1")
    faults = [*room.faults(verdict), *case.outcome.faults(verdict)]
    assert not faults, f"{faults}\n{verdict.text[:3000]}"
    assert "password" not in verdict.text
    assert room.is_sound()


def test_names_of_cases_are_unique() -> None:
    """A case is found by its name."""
    assert len({case.name for case in uploads.CASES}) == len(uploads.CASES)
