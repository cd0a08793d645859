"""Selecting: which files the sources of a COPY or ADD name. Nothing is placed or read here.

Source: the Dockerfile reference, COPY (wildcards by Go's filepath.Match, `**`, --parents with its `/./` pivot,
--exclude), and BuildKit's behaviour for what the text leaves open.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from builder.declare import dataclass
from builder.errors import BuildfileError, ContextError, PybuildError
from builder.lang.glob import compile_match, has_magic
from builder.lang.ignore import IgnoreRules
from builder.source import Span
from builder.stages.source_tree import SourceTree, real_path, walk
from builder.values.entry import Entry, Kind


@dataclass(frozen=True, slots=True)
class Picked:
    """One source: a file or directory. `name` is its path below the destination where that is a directory.

    `path` is what --exclude looks at: its path in the tree, or below the pivot of --parents. `below` are a directory's
    contents as (path inside it, entry). `through` are the directories that --parents makes on the way, as (path below
    the destination, entry).
    """

    entry: Entry
    name: bytes
    path: bytes = b""
    below: Collection[tuple[bytes, Entry]] = ()
    through: tuple[tuple[bytes, Entry], ...] = ()


class _Inside(Collection[tuple[bytes, Entry]]):
    """Entries with their paths inside a directory. The pairs are made when they are asked for: kept, they would take as
    much room as half of the entries."""

    def __init__(self, top: bytes, entries: list[Entry]) -> None:
        self._cut = len(top) + 1 if top else 0
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[bytes, Entry]]:
        cut = self._cut
        return ((entry.path[cut:], entry) for entry in self._entries)

    def __contains__(self, pair: object) -> bool:
        return any(pair == one for one in self)


@dataclass(frozen=True, slots=True)
class Selection:
    """What to select with: --parents and --exclude of the instruction, and its place."""

    parents: bool
    excludes: tuple[str, ...]
    span: Span


def select(tree: SourceTree, source: str, how: Selection) -> list[Picked]:
    """What one source word names; a wildcard may name nothing. Raises ContextError at the instruction's place."""
    try:
        head, tail = _split_pivot(source) if how.parents else ("", source)
        rules = _rules(how)
        found = [
            _one(tree, path, prefix, how, rules)
            for prefix in _paths(tree, b"", head, how)
            for path in _paths(tree, prefix, tail, how)
            if not has_magic(source) or real_path(tree, path) is not None
        ]
    except PybuildError as error:
        raise error.at(how.span) from None
    if not has_magic(source) and not how.parents:
        return found  # a file that is named by its whole name is meant, whatever --exclude says
    return [one for one in found if not _leaves_out(one, how, rules)]


def _leaves_out(one: Picked, how: Selection, rules: IgnoreRules | None) -> bool:
    """Whether --exclude means a match itself. Of a directory only the contents count, but its name with --parents."""
    return (how.parents or one.entry.kind is not Kind.DIR) and _is_excluded(one.path, rules)


def _paths(tree: SourceTree, start: bytes, text: str, how: Selection) -> list[bytes]:
    """The paths that a word names below `start`: itself, or what it matches."""
    if not has_magic(text):
        return [_joined(start, _clean(text))]
    return _glob(tree, start, [part for part in text.split("/") if part not in ("", ".")], how.parents)


def _rules(how: Selection) -> IgnoreRules | None:
    return IgnoreRules.parse("\n".join(how.excludes), "--exclude") if how.excludes else None


def _is_excluded(path: bytes, rules: IgnoreRules | None) -> bool:
    return rules is not None and rules.excludes(os.fsdecode(path))


def _split_pivot(source: str) -> tuple[str, str]:
    """Around `/./`: what is before it is not repeated below the destination."""
    head, pivot, tail = source.partition("/./")
    return (head, tail) if pivot else ("", source)


def _clean(path: str) -> bytes:
    """A source path without `.`, `..` (which stop at the root) and empty parts."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return os.fsencode("/".join(parts))


def _joined(head: bytes, tail: bytes) -> bytes:
    return head + b"/" + tail if head and tail else head or tail


def _one(tree: SourceTree, path: bytes, prefix: bytes, how: Selection, rules: IgnoreRules | None) -> Picked:
    real = real_path(tree, path)
    entry = None if real is None else tree.look(real)
    if real is None or entry is None:
        raise ContextError(f'"/{os.fsdecode(path)}" not found in {tree.title}', hint=tree.missing_hint(path))
    if entry.kind in (Kind.CHAR, Kind.BLOCK, Kind.SOCKET):
        raise ContextError(f'"/{os.fsdecode(path)}" in {tree.title} is a device or socket, which no layer holds')
    name = path[len(prefix) :].lstrip(b"/")
    below: Collection[tuple[bytes, Entry]] = ()
    if entry.kind is Kind.DIR:
        below = _Inside(real, list(_below(tree, real, name if how.parents else b"", rules)))
    if not how.parents:
        return Picked(entry, path.rpartition(b"/")[2], path, below)
    return Picked(entry, name, name, below, tuple(_through(tree, prefix, name)))


def _below(tree: SourceTree, top: bytes, name: bytes, rules: IgnoreRules | None) -> Iterator[Entry]:
    """A directory's contents without what --exclude names: below the directory itself, or with --parents `name`."""
    cut = len(top) + 1 if top else 0
    for entry in walk(tree, top):
        if entry.kind in (Kind.CHAR, Kind.BLOCK, Kind.SOCKET):
            continue
        if rules is None or not _is_excluded(_joined(name, entry.path[cut:]), rules):
            yield entry


def _through(tree: SourceTree, prefix: bytes, name: bytes) -> Iterator[tuple[bytes, Entry]]:
    parts = name.split(b"/")[:-1]
    for length in range(1, len(parts) + 1):
        inside = b"/".join(parts[:length])
        real = real_path(tree, _joined(prefix, inside))
        entry = None if real is None else tree.look(real)
        if entry is not None and entry.kind is Kind.DIR:
            yield inside, entry


def _glob(tree: SourceTree, prefix: bytes, parts: list[str], deep: bool) -> list[bytes]:
    """The paths that a pattern matches, sorted. Each part of the pattern is matched against one directory's names.

    With --parents (`deep`) `**` stands for any number of directories; else it is no more than `*`, as in Go.
    """
    found = {prefix}
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        if part == "**" and deep:
            found = {path for start in found for path in _at_any_depth(tree, start, is_last)}
        elif part == "..":
            found = {path.rpartition(b"/")[0] for path in found}
        elif has_magic(part):
            found = {path for start in found for path in _matching(tree, start, part)}
        else:
            found = {_joined(start, os.fsencode(part)) for start in found}
            found = {path for path in found if real_path(tree, path) is not None}
    return sorted(path for path in found if path)


def _matching(tree: SourceTree, start: bytes, part: str) -> Iterator[bytes]:
    real = real_path(tree, start)
    if real is None:
        return
    glob = compile_match(part)
    for name in tree.names(real):
        if glob.matches(os.fsdecode(name)):
            yield _joined(start, name)


def _at_any_depth(tree: SourceTree, start: bytes, with_files: bool) -> Iterator[bytes]:
    real = real_path(tree, start)
    if real is None:
        return
    if not with_files:
        yield start
    cut = len(real) + 1 if real else 0
    for entry in walk(tree, real):
        if entry.kind is Kind.DIR or with_files:
            yield _joined(start, entry.path[cut:])


def need_directory(sources: int, destination: str, span: Span) -> None:
    """Several sources need a destination that is a directory. Raises BuildfileError."""
    if sources > 1 and not destination.endswith("/"):
        raise BuildfileError(
            f"more than one source is copied to {destination}: it must be a directory and end with a slash",
            span=span,
            hint=f"write {destination}/",
        )
