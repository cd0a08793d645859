"""Buildfiles that mean harm, built by the real command: nothing outside is read or changed; one line tells the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hostile import (
    buildfiles_bases,
    buildfiles_git,
    buildfiles_keys,
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
    """A case is found by its name, and there are at least 150."""
    assert len({case.name for case in CASES}) == len(CASES) >= 150


@pytest.mark.kernel
def test_steps_that_differ_share_no_entry_of_the_cache(bench: Bench, tmp_path: Path) -> None:
    """Whatever a step depends on is in its key: of many that differ in one thing each none is another one's."""
    ground = ground_of(tmp_path, bench)
    count = buildfiles_keys.write_targets(ground)
    (ground.context / "s").write_text("a secret of some length")
    words = ("--secret", "id=s,src=s", "--secret", "id=t,src=s", "-o", "type=local,dest=../out", ".")
    verdict = ground.room.run("build", *words, directory="context")
    assert verdict.status == 0, verdict.text[-3000:]
    cached = [line for line in verdict.text.splitlines() if "CACHED" in line and buildfiles_keys.RUN[4:] in line]
    ids = [path.read_text() for path in (ground.room.path / "out" / "ids").iterdir()]
    assert len(set(ids)) == len(ids) == count, cached
    again = ground.room.run("build", *words, directory="context")
    assert again.text.count("CACHED") >= count and again.status == 0


@pytest.mark.kernel
def test_options_that_change_a_step(bench: Bench, tmp_path: Path) -> None:
    """What the command line says of steps is in their keys, too."""
    ground = ground_of(tmp_path, bench)
    (ground.context / "f").write_text(str(tmp_path))
    text = f"FROM @BASE@\nARG A\nCOPY f /f\n{buildfiles_keys.RUN}\n"
    (ground.context / "Buildfile").write_text(ground.filled(text))
    for options in buildfiles_keys.OPTIONS:
        verdict = ground.room.run("build", *options, ".", directory="context")
        assert verdict.status == 0 and f"CACHED {buildfiles_keys.RUN}" not in verdict.text, (options, verdict.text)
