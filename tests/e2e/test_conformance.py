"""Every conformance case, built by the command and held against what it must yield."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.registry import running_registry
from tests.support.bases import write_bases
from tests.support.conformance import FOLDER, Case
from tests.support.conformance_image import World

pytestmark = pytest.mark.kernel

CASES = sorted(path.stem for path in (FOLDER / "cases").glob("*.json")) if FOLDER.is_dir() else []


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The bases in a registry on loopback, and a store that all cases share."""
    room = tmp_path_factory.mktemp("conformance")
    bases = json.loads((FOLDER / "bases.json").read_text())
    diff_ids = write_bases(bases, room / "bases")
    (room / "registry").mkdir()
    with running_registry(room / "registry") as address:
        references = {}
        for name in diff_ids:
            references[name] = f"{address}/{name}:latest"
            copy = ["skopeo", "copy", "--quiet", "--all", "--dest-tls-verify=false"]
            subprocess.run(
                [*copy, f"oci:{room / 'bases' / name}:latest", f"docker://{references[name]}"], check=True, timeout=60
            )
        yield World(references, diff_ids, room / "store")


@pytest.mark.skipif(not CASES, reason="the conformance data is not beside the repository (PYBUILD_CONFORMANCE)")
def test_the_cases_are_there() -> None:
    """The folder of cases holds as many as it always did."""
    assert len(CASES) >= 185


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, world: World, tmp_path: Path) -> None:
    """A case yields what its file says."""
    document = json.loads((FOLDER / "cases" / f"{name}.json").read_text())
    problems = Case(document, world, tmp_path).run()
    assert not problems, "\n".join(problems)
