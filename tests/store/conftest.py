"""An open store on a temporary directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new store; closed after the test."""
    with Store.open(tmp_path / "store") as opened:
        yield opened
