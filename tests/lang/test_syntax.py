"""Tests for the `syntax` directive."""

from __future__ import annotations

import pytest

from builder.errors import BuildfileError
from builder.lang.grammar import parse
from builder.lang.syntax import foreign_frontend
from builder.source import SourceText


@pytest.mark.parametrize(
    "syntax",
    [
        "docker/dockerfile",
        "docker/dockerfile:1",
        "docker/dockerfile:1.7-labs",
        "docker.io/docker/dockerfile:1 # a remark",
        "docker/dockerfile-upstream:master",
        "docker/dockerfile@sha256:" + "0" * 64,
    ],
)
def test_docker_s_own(syntax: str) -> None:
    """Docker's own frontend, in any version and from any of its names, is no foreign one."""
    assert foreign_frontend(syntax) is None


@pytest.mark.parametrize(
    ("syntax", "name"),
    [("someone/dockerfile:x", "someone/dockerfile:x"), ("docker/dockerfiles", "docker/dockerfiles"), (None, None)],
)
def test_foreign(syntax: str | None, name: str | None) -> None:
    """Any other name is a foreign frontend."""
    assert foreign_frontend(syntax) == name


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("//syntax=a/b\npackage main\n", 1),
        ("#!/usr/bin/env x\n// syntax = a/b:1 more\n", 2),
        ("//check=skip=all\n//syntax=a/b\n", 2),
        ('{"syntax": "a/b"}', 1),
        ('\ufeff\n {"syntax": "a/b", "x": [1]}\n', 1),
    ],
)
def test_other_languages(text: str, line: int) -> None:
    """A file that names a frontend as no Dockerfile can is said to be no Dockerfile, with the name and its place."""
    with pytest.raises(BuildfileError, match="a/b") as caught:
        parse(SourceText("x", text))
    assert caught.value.span is not None
    assert caught.value.span.first == line


@pytest.mark.parametrize("text", ["//\nFROM scratch\n", '{"syntax": 1}', "{", "[" * 100_000, "{" * 100_000])
def test_neither(text: str) -> None:
    """What only looks like one is read as a Dockerfile, whose errors it then gives."""
    with pytest.raises(BuildfileError) as caught:
        parse(SourceText("x", text))
    assert "frontend" not in caught.value.message
