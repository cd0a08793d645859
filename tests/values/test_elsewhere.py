"""Tests for the names of contexts that are not directories."""

from __future__ import annotations

import pytest

from builder.values.elsewhere import UrlContext, source_of
from builder.values.repository import Repository


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://x/y.tar.gz", UrlContext("https://x/y.tar.gz")),
        ("HTTP://x/y", UrlContext("HTTP://x/y")),
        ("https://x/y.git#v1:d", Repository("https://x/y.git", "v1", "d")),
        ("git@x:y", Repository("git@x:y")),
        ("github.com/a/b", Repository("https://github.com/a/b.git")),
        ("github.com/a/b/#v1:d", Repository("https://github.com/a/b.git", "v1", "d")),
        ("github.com/a/b.git?tag=v1", Repository("https://github.com/a/b.git", "refs/tags/v1")),
        (".", None),
        ("/a/b.git", None),
        ("oci:/x", None),
        ("docker-image://x", None),
        ("ftp://x/y.tar", None),
    ],
)
def test_sources(text: str, expected: object) -> None:
    """Git URLs, other http URLs, and what is neither."""
    assert source_of(text) == expected


def test_malformed() -> None:
    """A git URL that cannot be meant is an error, not an archive's URL."""
    with pytest.raises(ValueError, match="twice"):
        source_of("https://x/y.git?ref=a&ref=b")
