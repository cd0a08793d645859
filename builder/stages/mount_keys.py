"""What of the --mount flags of a RUN belongs in its key. How they are made is in `mounts`, which a cached build does
without.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from posixpath import normpath
from typing import assert_never

from builder.errors import ContextError
from builder.stages.hands import Hands
from builder.stages.keys import digest_of_facts
from builder.stages.origins import tree_at
from builder.stages.source_tree import SourceTree, real_path, walk
from builder.values.entry import Kind
from builder.values.key import Plain
from builder.values.mount import BindRequest, CacheRequest, SecretRequest, SshRequest, TmpfsRequest
from builder.values.stack import Stack
from builder.values.step import ContextOrigin, MountPlan, RunStep


def describe(step: RunStep, built: Mapping[int, Stack], hands: Hands) -> list[Plain]:
    """What each mount adds to the step's key: the content of binds, the names of the rest, never a secret."""
    return [_described(plan, step, built, hands) for plan in step.mounts]


def _described(plan: MountPlan, step: RunStep, built: Mapping[int, Stack], hands: Hands) -> Plain:
    request = plan.request
    match request:
        case BindRequest():
            tree = tree_at(plan.origin, built, hands, step.span)
            facts = _tree_facts(tree, source_in(tree, request.source, step))
            return ["bind", request.target, request.writable, digest_of_facts(facts)]
        case CacheRequest():
            owner = [request.mode, request.uid, request.gid]
            seed = _seed_facts(plan, request, step, built, hands)
            return ["cache", request.target, request.id, request.read_only, *owner, *seed]
        case TmpfsRequest():
            return ["tmpfs", request.target, request.size_bytes, request.read_only]
        case SecretRequest():
            return ["secret", request.target, request.env, request.id, request.mode, request.uid, request.gid]
        case SshRequest():
            return ["ssh", request.target, request.id, request.mode, request.uid, request.gid]
        case _:
            assert_never(request)


def _seed_facts(
    plan: MountPlan, request: CacheRequest, step: RunStep, built: Mapping[int, Stack], hands: Hands
) -> list[Plain]:
    """What a new cache starts with: another seed is another step, as `from` is an input of it."""
    if isinstance(plan.origin, ContextOrigin):
        return []
    tree = tree_at(plan.origin, built, hands, step.span)
    return [digest_of_facts(_tree_facts(tree, source_in(tree, request.source, step)))]


def source_in(tree: SourceTree, source: str, step: RunStep) -> bytes:
    """Where a mount's source really is in the tree it is from. Raises ContextError."""
    wanted = os.fsencode(normpath("/" + source).lstrip("/"))
    real = real_path(tree, wanted)
    if real is None:
        shown = os.fsdecode(wanted)
        raise ContextError(
            f'RUN --mount: "/{shown}" not found in {tree.title}', span=step.span, hint=tree.missing_hint(wanted)
        )
    return real


def _tree_facts(tree: SourceTree, top: bytes) -> Iterator[Plain]:
    first = tree.look(top)
    entries = [*([first] if first is not None else []), *walk(tree, top)]
    files = [entry for entry in entries if entry.kind is Kind.FILE]
    digests = dict(zip((entry.path for entry in files), tree.digests(files), strict=True))
    for entry in entries:
        inside = os.fsdecode(entry.path[len(top) :])
        facts = [inside, entry.kind.value, entry.mode, os.fsdecode(entry.link), digests.get(entry.path, "")]
        xattrs = [[name, value.hex()] for name, value in entry.xattrs]
        yield [*facts, entry.uid, entry.gid, xattrs]
