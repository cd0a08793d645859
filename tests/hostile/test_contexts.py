"""Contexts that mean harm, built by the real command: nothing outside is read or changed, and each ends in one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile import contexts, contexts_ignore
from tests.hostile.buildfiles import Bench, BuildCase, a_bench, chosen, ground_of, judge

CASES = (*contexts.CASES, *contexts_ignore.CASES)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """What the cases share."""
    with a_bench(tmp_path_factory.mktemp("bench")) as made:
        yield made


@pytest.mark.kernel
@pytest.mark.parametrize("case", chosen(CASES), ids=lambda case: case.name)
def test_a_hostile_context_stays_where_it_is(case: BuildCase, bench: Bench, tmp_path: Path) -> None:
    """The build succeeds or says one thing; nothing of what lies outside is in an image, a message or a cache."""
    faults, verdict = judge(case, ground_of(tmp_path, bench))
    assert not faults, f"{faults}\n{verdict.text[-3000:]}"


def test_names_of_cases_are_unique() -> None:
    """A case is found by its name."""
    assert len({case.name for case in CASES}) == len(CASES)
