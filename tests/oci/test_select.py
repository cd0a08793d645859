"""Which image of a layout is meant."""

from __future__ import annotations

import pytest

from builder.errors import ImageError
from builder.oci.select import select
from builder.values.digest import Digest
from builder.values.image import MEDIA_MANIFEST, Descriptor
from builder.values.platform import Platform
from tests.oci.images import AMD64, ARM64


def entry(letter: str, tag: str = "", name: str = "", platform: Platform | None = None) -> Descriptor:
    """An entry of an index.json."""
    annotations = {"org.opencontainers.image.ref.name": tag, "io.containerd.image.name": name}
    kept = tuple((key, value) for key, value in annotations.items() if value)
    return Descriptor(MEDIA_MANIFEST, Digest(letter * 64), 1, kept, platform)


ONE = entry("a", "1", "docker.io/library/app:1")
TWO = entry("b", "2")
LATEST = entry("c", "latest")


def test_a_tag_a_name_or_a_digest_finds_its_entry() -> None:
    """All three ways that people and tools name an image of a layout."""
    entries = [ONE, TWO]
    assert select("x", entries, "2", AMD64) == TWO
    assert select("x", entries, "docker.io/library/app:1", AMD64) == ONE
    assert select("x", entries, str(TWO.digest), AMD64) == TWO


def test_without_a_tag_the_only_image_or_latest_is_meant() -> None:
    """One image, under however many tags, needs no tag; else `latest` is it."""
    assert select("x", [ONE], None, AMD64) == ONE
    assert select("x", [ONE, entry("a", "other")], None, AMD64) == ONE
    assert select("x", [ONE, LATEST], None, AMD64) == LATEST


def test_the_platform_decides_between_entries_of_one_tag() -> None:
    """A layout may hold one tag for several platforms without an index."""
    entries = [entry("a", "1", platform=AMD64), entry("b", "1", platform=ARM64)]
    assert select("x", entries, "1", ARM64) == entries[1]
    with pytest.raises(ImageError, match="x: there is no image for linux/s390x"):
        select("x", entries, "1", Platform("linux", "s390x"))


def test_what_is_missing_or_unclear_lists_the_tags() -> None:
    """The hint says what could have been meant."""
    with pytest.raises(ImageError, match="no image tagged '3'") as missing:
        select("x", [ONE, TWO], "3", AMD64)
    with pytest.raises(ImageError, match="several images") as unclear:
        select("x", [ONE, TWO], None, AMD64)
    assert missing.value.hint == unclear.value.hint == "the tags there are: 1, 2"
    with pytest.raises(ImageError, match="there is no image in it"):
        select("x", [], None, AMD64)
