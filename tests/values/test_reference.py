"""Tests of image names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.values.digest import Digest
from builder.values.reference import Reference

HEX = "a" * 64


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("debian", "docker.io/library/debian:latest"),
        ("debian:12", "docker.io/library/debian:12"),
        ("me/app", "docker.io/me/app:latest"),
        ("docker.io/debian", "docker.io/library/debian:latest"),
        ("index.docker.io/me/app", "docker.io/me/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/a/b:c", "localhost:5000/a/b:c"),
        ("127.0.0.1:5000/app:1", "127.0.0.1:5000/app:1"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ("ghcr.io/a/b__c/d-e.f", "ghcr.io/a/b__c/d-e.f:latest"),
        ("Host/app", "Host/app:latest"),
        ("Reg.Example:5000/app", "reg.example:5000/app:latest"),
        ("Docker.IO/debian", "docker.io/library/debian:latest"),
        (f"debian@sha256:{HEX}", f"docker.io/library/debian@sha256:{HEX}"),
        (f"debian:12@sha256:{HEX}", f"docker.io/library/debian:12@sha256:{HEX}"),
    ],
)
def test_names_are_completed(text: str, whole: str) -> None:
    """What a name leaves out is what docker fills in; what is completed reads back as the same."""
    reference = Reference.parse(text)
    assert str(reference) == whole
    assert Reference.parse(whole) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "a:",
        ":1",
        "App",
        "a/App:1",
        "a//b",
        "host:65536/a",
        "host:0/a",
        "[::1]:99999/a",
        "[:::::]/a",
        "[1.2.3.4]/a",
        "/a",
        "a/",
        "a b",
        "a:b c",
        "a:-x",
        "a:" + "x" * 129,
        "a@",
        "a@sha256:abc",
        "a@md5:" + "a" * 32,
        "../a",
        "a/../b",
        ".a",
        "a_",
        "a___b",
        "ho st.x/a",
        "-host.x/a",
        "host:123456/a",
        "a" * 256,
        "a\n",
        "a:1\n",
        "$X",
    ],
)
def test_what_is_no_name(text: str) -> None:
    """Names that docker refuses are refused, with a ValueError and nothing else."""
    with pytest.raises(ValueError):
        Reference.parse(text)


def test_upper_case_is_explained() -> None:
    """The most frequent mistake has its own words."""
    with pytest.raises(ValueError, match="lower case"):
        Reference.parse("MyApp")


def test_bare_names() -> None:
    """A name without registry and folder is one of a store alone; with a folder it may be somebody's at docker.io."""
    assert all(Reference.parse(text).is_bare for text in ("app", "app:1", "docker.io/library/app"))
    assert not any(Reference.parse(text).is_bare for text in ("me/app", "localhost/app", "host:5000/library/app"))


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("docker.io/library/debian", "debian:latest"),
        ("docker.io/me/app:1", "me/app:1"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        (f"debian@sha256:{HEX}", f"debian@sha256:{HEX}"),
    ],
)
def test_the_familiar_form(text: str, familiar: str) -> None:
    """People see the name as they would write it, and it still means the same."""
    reference = Reference.parse(text)
    assert reference.familiar == familiar
    assert Reference.parse(familiar) == reference


@given(st.text(max_size=30))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    """No text does anything but parse, or raise ValueError; a name that parses prints as a name."""
    try:
        reference = Reference.parse(text)
    except ValueError:
        return
    assert Reference.parse(str(reference)) == reference


def test_a_digest_is_a_digest() -> None:
    """The digest of a name is the value that the store and registries use."""
    assert Reference.parse(f"a@sha256:{HEX}").digest == Digest(HEX)
    assert Reference.parse(f"a@sha256:{HEX}").tag is None
