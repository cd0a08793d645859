"""Mounts: what the --mount flags of a RUN show to it is made. What of it belongs in the key is in `mount_keys`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from posixpath import join, normpath
from typing import assert_never

from builder.declare import dataclass, field
from builder.errors import BuildfileError, ContextError
from builder.stages.hands import Hands
from builder.stages.mount_keys import source_in
from builder.stages.origins import is_directory, stack_at
from builder.stages.source_tree import HostTree
from builder.stages.unpack import tree_of
from builder.store.caches import CacheLease
from builder.values.crossing import (
    CacheMount,
    FileMount,
    SocketMount,
    StepMount,
    TmpfsMount,
    Tree,
    TreeMount,
)
from builder.values.mount import BindRequest, CacheRequest, SecretRequest, Sharing, SshRequest, TmpfsRequest
from builder.values.stack import Stack
from builder.values.step import ContextOrigin, ImageOrigin, MountPlan, RunStep, TargetOrigin

_STRICTER = (Sharing.SHARED, Sharing.PRIVATE, Sharing.LOCKED)
"""Ways to share a cache, each stricter than those before it."""


@dataclass
class Mounted:
    """The mounts of a running step: what passes the door, the descriptors beside it, and variables for the command."""

    mounts: list[StepMount] = field(default_factory=list)
    env: list[tuple[str, str]] = field(default_factory=list)
    _files: list[int] = field(default_factory=list)

    def add_descriptor(self, fd: int) -> int:
        """A copy of a descriptor that goes along; its number among all that do."""
        self._files.append(os.dup(fd))
        return len(self._files)

    @property
    def fds(self) -> tuple[int, ...]:
        """The descriptors that go after the output's."""
        return tuple(self._files)

    def add_file(self, content: bytes) -> int:
        """Put bytes where only the step will see them: a file in memory. Returns its number in the message."""
        fd = os.memfd_create("pybuild", os.MFD_CLOEXEC)
        self._files.append(fd)
        with os.fdopen(os.dup(fd), "wb") as out:
            out.write(content)
        os.lseek(fd, 0, os.SEEK_SET)
        return len(self._files)  # descriptor 0 is the step's output

    def close(self) -> None:
        """Close the files in memory."""
        for fd in self._files:
            os.close(fd)


@contextmanager
def mounted(step: RunStep, built: Mapping[int, Stack], hands: Hands) -> Iterator[Mounted]:
    """Make everything that the step's mounts show; on the way out locks and descriptors are let go."""
    found = Mounted()
    with ExitStack() as stack:
        stack.callback(found.close)
        leases = _leases(step, stack, hands)
        for plan in step.mounts:
            _prepare(plan, step, built, found, (leases, hands))
        for number, request in enumerate(_agents_of(step)):
            _ssh(number, request, step, found, hands)
        yield found


def _prepare(
    plan: MountPlan,
    step: RunStep,
    built: Mapping[int, Stack],
    found: Mounted,
    given: tuple[Mapping[str, CacheLease], Hands],
) -> None:
    request, (leases, hands) = plan.request, given
    match request:
        case BindRequest():
            found.mounts.append(_bind(plan, request, step, built, hands))
        case CacheRequest():
            seed = _seed(plan, request, step, built, hands) if leases[request.id].is_new else None
            found.mounts.append(_cache(request, step, leases[request.id].directory, seed))
        case TmpfsRequest():
            found.mounts.append(TmpfsMount(_target(request.target, step), request.size_bytes, request.read_only))
        case SecretRequest():
            _secret(request, step, found, hands)
        case SshRequest():
            pass  # these have numbers of their own
        case _:
            assert_never(request)


def _target(target: str, step: RunStep) -> str:
    return normpath(join("/", step.cwd, target))


def _bind(plan: MountPlan, request: BindRequest, step: RunStep, built: Mapping[int, Stack], hands: Hands) -> TreeMount:
    target = _target(request.target, step)
    directory = is_directory(plan.origin, hands)
    if directory is None:
        tree = _stack_tree(plan, step, built, hands)
        source = "/" + normpath("/" + request.source).lstrip("/")
        return TreeMount(tree, source, target, request.writable)
    top = source_in(directory, request.source, step)
    return TreeMount(_mirror(directory, top, hands), "/" + os.fsdecode(top), target, request.writable)


def _stack_tree(plan: MountPlan, step: RunStep, built: Mapping[int, Stack], hands: Hands) -> Tree:
    if not isinstance(plan.origin, ImageOrigin | TargetOrigin):
        raise BuildfileError("RUN --mount: from names nothing that can be mounted", span=step.span)
    return tree_of(stack_at(plan.origin, built, hands, step.span), hands)


def _leases(step: RunStep, stack: ExitStack, hands: Hands) -> dict[str, CacheLease]:
    """The right to use each cache of the step until the stack closes.

    Every step takes its caches in the order of their ids: two that took the same ones in different orders could wait
    for each other for ever. A step that shows a cache twice has it once, in the strictest of the ways it asks for.
    """
    wanted: dict[str, Sharing] = {}
    for plan in step.mounts:
        if isinstance(plan.request, CacheRequest):
            asked = wanted.get(plan.request.id, plan.request.sharing)
            wanted[plan.request.id] = max(asked, plan.request.sharing, key=_STRICTER.index)
    leases: dict[str, CacheLease] = {}
    for name in sorted(wanted):
        leases[name] = hands.store.caches.lock(name, wanted[name], hands.door.check)
        stack.callback(leases[name].lock.release)
    return leases


def _cache(request: CacheRequest, step: RunStep, directory: Path, seed: Tree | None) -> CacheMount:
    return CacheMount(
        directory=str(directory),
        target=_target(request.target, step),
        read_only=request.read_only,
        mode=request.mode,
        uid=request.uid,
        gid=request.gid,
        seed=seed,
        seed_source="/" + normpath("/" + request.source).lstrip("/"),
    )


def _seed(
    plan: MountPlan, request: CacheRequest, step: RunStep, built: Mapping[int, Stack], hands: Hands
) -> Tree | None:
    """What a cache that is not there yet starts as a copy of."""
    if isinstance(plan.origin, ContextOrigin):
        return None
    directory = is_directory(plan.origin, hands)
    if directory is None:
        return _stack_tree(plan, step, built, hands)
    return _mirror(directory, source_in(directory, request.source, step), hands)


def _mirror(directory: HostTree, top: bytes, hands: Hands) -> Tree:
    return Tree((str(hands.contexts.mirrors.of(directory, top)),))


def _secret(request: SecretRequest, step: RunStep, found: Mounted, hands: Hands) -> None:
    secret = next((secret for secret in hands.request.secrets if secret.id == request.id), None)
    if secret is None:
        if request.required:
            raise ContextError(
                f"the secret {request.id!r} is required and was not given",
                span=step.span,
                hint=f"give it with --secret id={request.id},src=FILE or --secret id={request.id},env=NAME",
            )
        return
    if request.env is not None:
        if b"\0" in secret.value:
            raise ContextError(
                f"the secret {request.id!r} holds a NUL byte, which no variable can",
                span=step.span,
                hint="show it as a file: --mount=type=secret,id=...,target=PATH",
            )
        found.env.append((request.env, secret.value.decode("utf-8", "surrogateescape")))
    if request.target is not None:
        number = found.add_file(secret.value)
        target = _target(request.target, step)
        found.mounts.append(FileMount(number, target, request.mode, request.uid, request.gid))


def _agents_of(step: RunStep) -> list[SshRequest]:
    return [plan.request for plan in step.mounts if isinstance(plan.request, SshRequest)]


def _ssh(number: int, request: SshRequest, step: RunStep, found: Mounted, hands: Hands) -> None:
    """As in BuildKit the first one is SSH_AUTH_SOCK, whether it was given or not, unless the step has its own."""
    target = _target(request.target or f"/run/buildkit/ssh_agent.{number}", step)
    if number == 0 and "SSH_AUTH_SOCK" not in dict(step.env):
        found.env.append(("SSH_AUTH_SOCK", target))
    agent = next((agent for agent in hands.request.ssh if agent.id == request.id), None)
    if agent is not None:
        found.mounts.append(SocketMount(str(agent.socket), target, request.mode, request.uid, request.gid))
    elif request.required:
        raise ContextError(
            f"the ssh agent {request.id!r} is required and was not given",
            span=step.span,
            hint=f"give it with --ssh {request.id}=SOCKET",
        )
