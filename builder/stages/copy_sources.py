"""What a COPY or an ADD takes, and the key that this gives: all that is needed to find its layer in the cache.

Nothing is read here but what the key wants to know. The layer is made in `copy`, which a cached build does not load.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from builder.declare import dataclass
from builder.stages.hands import Hands
from builder.stages.keys import copy_key
from builder.stages.select import Picked, Selection, need_directory, select
from builder.stages.source_tree import HostTree, SourceTree
from builder.values.entry import Kind
from builder.values.key import CacheKey, Plain
from builder.values.stack import Stack
from builder.values.step import CopyStep

if TYPE_CHECKING:
    from builder.stages.add import Download, Promised
    from builder.stages.repositories import Commit


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that a COPY takes: what its words picked, what it downloaded, and the key that all this gives."""

    tree: SourceTree
    picked: tuple[Picked, ...]
    downloads: tuple[Download | Promised, ...]
    key: CacheKey
    commits: tuple[Commit, ...] = ()


def gather(step: CopyStep, tree: SourceTree, stack: Stack, hands: Hands) -> Gathered:
    """Find the sources and the step's key. Raises ContextError, ImageError, BuildfileError at the step's place."""
    how = Selection(step.parents, step.excludes, step.span)
    picked = tuple(one for source in step.sources for one in select(tree, source, how))
    count = len(step.sources) + len(step.inline) + len(step.downloads) + len(step.repositories)
    need_directory(count, step.destination, step.span)
    downloads = _downloads(step, hands) if step.downloads else ()
    facts = [
        *_facts(tree, picked, keep_owner=not isinstance(tree, HostTree)),
        *(wanted.facts() for wanted in downloads),
    ]
    commits = _commits(step, hands) if step.repositories else ()
    facts += [[commit.facts(), list(step.excludes)] for commit in commits]
    return Gathered(tree, picked, downloads, copy_key(step, stack.chain, facts, hands.request), commits)


def _downloads(step: CopyStep, hands: Hands) -> tuple[Download | Promised, ...]:
    from builder.stages.add import ask_for

    return tuple(ask_for(url, step, hands) for url in step.downloads)


def _commits(step: CopyStep, hands: Hands) -> tuple[Commit, ...]:
    from builder.stages.repositories import find_commit

    return tuple(find_commit(repository, step.span, hands) for repository in step.repositories)


def _facts(tree: SourceTree, picked: tuple[Picked, ...], *, keep_owner: bool) -> Iterator[Plain]:
    """What decides the content of the layer, and nothing else: no times, no owners of the context's files."""
    rows = [row for one in picked for row in ((b"", one.entry), *one.below)]
    files = [entry for _, entry in rows if entry.kind in (Kind.FILE, Kind.HARDLINK)]
    digests = dict(zip((entry.path for entry in files), tree.digests(files), strict=True))
    for one in picked:
        yield ["source", os.fsdecode(one.name), len(one.below), len(one.through)]
    for inside, entry in rows:
        owner = [entry.uid, entry.gid] if keep_owner else []
        xattrs = [[name, value.hex()] for name, value in entry.xattrs] if keep_owner else []
        facts = [os.fsdecode(inside), entry.kind.value, entry.mode, os.fsdecode(entry.link), *owner, *xattrs]
        yield [*facts, digests.get(entry.path, "")]
