"""What a COPY or an ADD takes, and the key that this gives: all that is needed to find its layer in the cache.

Nothing is read here but what the key wants to know, and of a large COPY that nobody has done before not even that. The
layer is made in `copy`, which a cached build does not load.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from builder.declare import dataclass
from builder.stages.hands import Hands
from builder.stages.keys import copy_key, digest_of_facts, sketch_key
from builder.stages.select import Picked, Selection, need_directory, select
from builder.stages.source_tree import HostTree, SourceTree
from builder.values.entry import Entry, Kind
from builder.values.key import CacheKey, Plain
from builder.values.stack import Stack
from builder.values.step import CopyStep

if TYPE_CHECKING:
    from builder.stages.add import Download, Promised
    from builder.stages.repositories import Commit


_FILE_BYTES = 16 << 10  # to open a file costs about as much as to hash so many bytes
_LARGE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that a COPY takes: what its words picked, what it downloaded, and all this but the contents as one digest.

    `sketch` is set where so much comes from the host that it is worth to remember that something of these names and
    sizes was copied. Where nothing was (`is_new`) no record can be there, whatever the contents are: the files are read
    once, when they are packed, and the step's key is known afterwards.
    """

    tree: SourceTree
    picked: tuple[Picked, ...]
    files: Sequence[Entry]  # those of `picked`
    downloads: tuple[Download | Promised, ...] = ()
    commits: tuple[Commit, ...] = ()
    facts: str = ""
    sketch: CacheKey | None = None
    is_new: bool = False


def gather(step: CopyStep, tree: SourceTree, stack: Stack, hands: Hands) -> Gathered:
    """Find the sources. Raises ContextError, ImageError, BuildfileError at the step's place."""
    how = Selection(step.parents, step.excludes, step.span)
    picked = tuple(one for source in step.sources for one in select(tree, source, how))
    count = len(step.sources) + len(step.inline) + len(step.downloads) + len(step.repositories)
    need_directory(count, step.destination, step.span)
    downloads = _downloads(step, hands) if step.downloads else ()
    commits = _commits(step, hands) if step.repositories else ()
    files = [entry for _, entry in _rows(picked) if entry.kind is Kind.FILE or entry.kind is Kind.HARDLINK]
    facts: list[Plain] = [["source", os.fsdecode(one.name), len(one.below), len(one.through)] for one in picked]
    facts += [wanted.facts() for wanted in downloads]
    facts += [[commit.facts(), list(step.excludes)] for commit in commits]
    digest = digest_of_facts(chain(facts, _facts(_rows(picked), keep_owner=not isinstance(tree, HostTree))))
    if not isinstance(tree, HostTree) or not _is_large(files):
        return Gathered(tree, picked, files, downloads, commits, digest)
    sketch = sketch_key(step, stack.chain, [digest])
    is_new = _is_large(tree.unread(files)) and (hands.request.no_cache or hands.store.records.find(sketch) is None)
    return Gathered(tree, picked, files, downloads, commits, digest, sketch, is_new)


def key_of_copy(step: CopyStep, found: Gathered, stack: Stack, hands: Hands) -> CacheKey:
    """The key of the step. What nobody has read yet is read for it. Raises ContextError."""
    return copy_key(step, stack.chain, chain((found.facts,), found.tree.digests(found.files)), hands.request)


def _downloads(step: CopyStep, hands: Hands) -> tuple[Download | Promised, ...]:
    from builder.stages.add import ask_for

    return tuple(ask_for(url, step, hands) for url in step.downloads)


def _commits(step: CopyStep, hands: Hands) -> tuple[Commit, ...]:
    from builder.stages.repositories import find_commit

    return tuple(find_commit(repository, step.span, hands) for repository in step.repositories)


def _is_large(files: Sequence[Entry]) -> bool:
    return sum([entry.size for entry in files]) + _FILE_BYTES * len(files) > _LARGE_BYTES


def _rows(picked: Iterable[Picked]) -> Iterator[tuple[bytes, Entry]]:
    """All that was picked: what a word names with the path b"", what is in a directory with the path inside it."""
    return (row for one in picked for row in chain(((b"", one.entry),), one.below))


def _facts(rows: Iterable[tuple[bytes, Entry]], *, keep_owner: bool) -> Iterator[Plain]:
    """What decides the layer beside the contents of files: no times, no owners of the context's files."""
    for inside, entry in rows:
        owner = [entry.uid, entry.gid] if keep_owner else []
        xattrs = [[name, value.hex()] for name, value in entry.xattrs] if keep_owner else []
        yield [os.fsdecode(inside), entry.kind.value, entry.mode, entry.size, os.fsdecode(entry.link), *owner, *xattrs]
