"""Descriptors as JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.store import descriptors
from builder.store.files import JsonValue
from builder.values.digest import Digest
from builder.values.image import MEDIA_LAYER, Descriptor
from builder.values.platform import Platform

_HEX = "0" * 64


@given(
    st.text(max_size=20),
    st.binary(max_size=5),
    st.integers(0, 1 << 60),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    st.sampled_from([None, Platform("linux", "amd64"), Platform("linux", "arm", "v7")]),
)
def test_descriptors_survive(
    media_type: str, data: bytes, size: int, annotations: dict[str, str], platform: Platform | None
) -> None:
    """What is written is what is read."""
    descriptor = Descriptor(media_type, Digest.of(data), size, tuple(sorted(annotations.items())), platform)
    assert descriptors.from_json(descriptors.to_json(descriptor)) == descriptor


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"mediaType": MEDIA_LAYER, "digest": "sha256:" + _HEX, "size": -1},
        {"mediaType": MEDIA_LAYER, "digest": "sha256:" + _HEX, "size": True},
        {"mediaType": MEDIA_LAYER, "digest": "sha256:" + _HEX, "size": "1"},
        {"mediaType": MEDIA_LAYER, "digest": "../../etc/passwd", "size": 1},
        {"mediaType": MEDIA_LAYER, "size": 1},
        {"digest": "sha256:" + _HEX, "size": 1},
        {"mediaType": MEDIA_LAYER, "digest": "sha256:" + _HEX, "size": 1, "platform": {"os": 1}},
    ],
)
def test_nonsense_is_a_value_error(value: JsonValue) -> None:
    """What is no descriptor is refused, digests that are paths among it (CVE-2024-3727)."""
    with pytest.raises(ValueError):
        descriptors.from_json(value)


def test_odd_annotations_are_left_out() -> None:
    """Annotations that are not text do not hinder reading."""
    assert descriptors.annotations_of({"annotations": {"a": 1, "b": "x"}}) == {"b": "x"}
    assert descriptors.annotations_of({"annotations": []}) == {}
    assert descriptors.annotations_of(None) == {}
