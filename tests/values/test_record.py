"""Tests of what the store remembers, as values."""

from __future__ import annotations

from builder.values.digest import DiffId, Digest
from builder.values.image import MEDIA_LAYER, Descriptor
from builder.values.record import LayerRecord, StepRecord, TaggedImage

BLOB = Descriptor(MEDIA_LAYER, Digest.of(b"blob"), 4)


def test_a_step_that_changed_nothing() -> None:
    """A step without a layer is remembered too, or it would run again and again."""
    assert StepRecord(None).diff_id is None
    assert StepRecord(None) != StepRecord(DiffId.of(b""))


def test_records_compare_by_value() -> None:
    """What is read back from the store is equal to what was written."""
    assert LayerRecord(DiffId.of(b"a"), BLOB) == LayerRecord(DiffId.of(b"a"), Descriptor(MEDIA_LAYER, BLOB.digest, 4))
    assert TaggedImage("app:1", BLOB, 1.5) == TaggedImage("app:1", BLOB, 1.5)
