"""Names that name no registry."""

from __future__ import annotations

import pytest

from builder.errors import ImageError
from builder.values.shortnames import is_short, parsed, short_key

DIGEST = "sha256:" + "a" * 64


def test_what_names_a_registry_is_not_short() -> None:
    """A host has a dot, a port, a capital, or is localhost; digests and tags have nothing to do with it."""
    for text in ("docker.io/app:1", "localhost/app:1", "three.example/app:1", "host:5000/app:1", "HOST/app"):
        assert not is_short(text)
    for text in ("app", "app:1.2", "me/app", f"me/app@{DIGEST}"):
        assert is_short(text)


def test_what_is_no_name_is_an_image_error() -> None:
    """With a hint how one is written."""
    with pytest.raises(ImageError, match="names are lower case") as caught:
        parsed("App")
    assert "[HOST[:PORT]/]NAME" in (caught.value.hint or "")


def test_a_short_name_is_a_key_of_its_own() -> None:
    """Apart from what it may stand for; different spellings of one name are one key."""
    assert short_key("app") == short_key("app:latest") != parsed("app")
    assert short_key("app") != short_key("library/app")
    assert short_key(f"me/app:1@{DIGEST}").repository == "me/app"
    assert not is_short(str(short_key("app")))
