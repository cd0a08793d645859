"""Buildfiles that mean harm, built by the real command: nothing outside is read or changed; one line tells the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hostile import (
    buildfiles_bases,
    buildfiles_git,
    buildfiles_language,
    buildfiles_mounts,
    buildfiles_places,
)
from tests.hostile.buildfiles import Bench, BuildCase, a_bench, chosen, ground_of, judge
from tests.support.repositories import plain_http

CASES = (
    *buildfiles_places.CASES,
    *buildfiles_mounts.CASES,
    *buildfiles_language.CASES,
    *buildfiles_bases.CASES,
    *buildfiles_git.CASES,
)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """What the cases share."""
    with a_bench(tmp_path_factory.mktemp("bench")) as made:
        yield made


@pytest.mark.kernel
@pytest.mark.parametrize("case", chosen(CASES), ids=lambda case: case.name[:60])
def test_a_hostile_buildfile_stays_inside(case: BuildCase, bench: Bench, tmp_path: Path) -> None:
    """The build succeeds or says one thing; nothing outside is changed or read, and the store is sound."""
    ground = ground_of(tmp_path, bench)
    if case in buildfiles_git.REPOSITORIES:
        with plain_http(ground.room.path / "served") as address:
            faults, verdict = judge(case, replace(ground, served=address))
    else:
        faults, verdict = judge(case, ground)
    assert not faults, f"{faults}\n{verdict.text[-3000:]}"


def test_there_are_enough_and_each_has_a_name() -> None:
    """A case is found by its name; there are at least 150, even of those that are always run."""
    assert len({case.name for case in CASES}) == len(CASES)
    assert len(chosen(CASES)) >= 150
