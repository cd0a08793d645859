"""Tests of platforms and their other names."""

from __future__ import annotations

import pytest

from builder.values.platform import Platform


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("linux/amd64", "linux/amd64"),
        ("amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("LINUX/AArch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("arm/v6", "arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/i686", "linux/386"),
        ("linux/riscv64", "linux/riscv64"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_aliases(text: str, shown: str) -> None:
    """Other names of an architecture, and the variant that goes without saying, are resolved as containerd does."""
    assert str(Platform.parse(text)) == shown


@pytest.mark.parametrize("text", ["", "/", "linux/", "/amd64", "a/b/c/d", "linux/amd 64", "linux/$X", "linux/amd64\n"])
def test_what_is_no_platform(text: str) -> None:
    """Empty parts, too many parts and foreign characters are refused."""
    with pytest.raises(ValueError, match="invalid platform"):
        Platform.parse(text)


def test_what_is_printed_reads_back() -> None:
    """The text of a platform is one, and the same."""
    for text in ("linux/amd64", "linux/arm/v6", "linux/arm64", "windows/386"):
        assert str(Platform.parse(str(Platform.parse(text)))) == text


def test_equal_platforms_are_one_key() -> None:
    """Found images are remembered by platform, however it was written."""
    assert (
        len({Platform.parse("linux/arm64"), Platform.parse("linux/aarch64"), Platform.of("linux", "arm64", "v8")}) == 1
    )
