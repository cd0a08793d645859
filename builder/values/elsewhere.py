"""Contexts that are not a directory of this machine, as command lines name them. Nothing is fetched here."""

from __future__ import annotations

from builder.declare import dataclass
from builder.values.repository import Repository, parse_repository


@dataclass(frozen=True, slots=True)
class StreamContext:
    """The context, or a Buildfile alone, comes from this descriptor: standard input."""

    descriptor: int


@dataclass(frozen=True, slots=True)
class UrlContext:
    """The context, or a Buildfile alone, is what this http or https URL gives."""

    url: str


Elsewhere = Repository | StreamContext | UrlContext


def source_of(text: str) -> Repository | UrlContext | None:
    """Where a context of this name is fetched from, or None for what has none of a URL's forms.

    `github.com/OWNER/NAME` is a git repository, as docker has it. Raises ValueError for a malformed git URL.
    """
    repository = parse_repository(f"https://{_with_suffix(text)}" if text.startswith("github.com/") else text)
    if repository is not None:
        return repository
    return UrlContext(text) if text.lower().startswith(("http://", "https://")) else None


def _with_suffix(text: str) -> str:
    """`github.com/a/b#ref` with the `.git` that such a name goes without."""
    cut = min((text.index(mark) for mark in "?#" if mark in text), default=len(text))
    path = text[:cut].rstrip("/")
    return (path if path.endswith(".git") else path + ".git") + text[cut:]
