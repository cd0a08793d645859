"""Benches that the kernel's tests share: making one takes longer than a step."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from builder.values.crossing import Rung
from tests.kernel.bench import Bench, bench
from tests.kernel.processes import forget_children


@pytest.fixture(autouse=True)
def only_ours() -> None:
    """What other tests have started in this process and share (a registry) is not counted as a child of these."""
    forget_children()


@pytest.fixture(scope="session")
def room() -> Iterator[Bench]:
    """A bench on the best rung."""
    with bench() as made:
        yield made


@pytest.fixture(scope="session")
def single() -> Iterator[Bench]:
    """A bench where only our own id exists."""
    if os.geteuid() == 0:
        pytest.skip("real root has all ids")
    with bench(Rung.SINGLE) as made:
        yield made
