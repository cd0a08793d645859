"""The step cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.store import Store, files
from builder.values.digest import DiffId
from builder.values.key import key_of
from builder.values.record import StepRecord

KEY = key_of("run", {"argv": ["true"]})


def _path(store: Store) -> Path:
    return store.root / "pybuild" / "steps" / f"{KEY.hex}.json"


@pytest.mark.parametrize(
    "record",
    [StepRecord(None), StepRecord(DiffId.of(b"x"), 1_700_000_000), StepRecord(DiffId.of(b"x"), 1, ("key", "tokén"))],
)
def test_record_comes_back(store: Store, record: StepRecord) -> None:
    """An outcome is remembered, also that a step changed nothing."""
    assert store.records.find(KEY) is None
    store.records.put(KEY, record)
    assert store.records.find(KEY) == record


def test_record_is_replaced(store: Store) -> None:
    """The last outcome counts."""
    store.records.put(KEY, StepRecord(None))
    store.records.put(KEY, StepRecord(DiffId.of(b"x")))
    assert store.records.find(KEY) == StepRecord(DiffId.of(b"x"))


def test_record_is_forgotten(store: Store) -> None:
    """What proved bad is not found again; forgetting twice is harmless."""
    store.records.put(KEY, StepRecord(None))
    store.records.discard(KEY)
    store.records.discard(KEY)
    assert store.records.find(KEY) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not json",
        files.encode({"version": 1}),
        files.encode({"version": 1, "diff_id": 5}),
        files.encode({"version": 1, "diff_id": "sha256:../.."}),
        files.encode({"version": 1, "diff_id": None, "created_s": "now"}),
        files.encode({"version": 1, "diff_id": str(DiffId.of(b"x")), "searched": "key"}),
    ],
)
def test_damaged_record_is_not_found(store: Store, data: bytes) -> None:
    """A record that cannot be understood is a miss, and gone afterwards."""
    _path(store).write_bytes(data)
    assert store.records.find(KEY) is None
    assert not _path(store).exists()
