"""Repositories: git repositories that ADD names. Which commit is meant decides the key; files are fetched when needed.

A directory of a repository is opened by the kernel without following any link, so none leads out of the checkout
(CVE-2026-33747).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from builder.declare import dataclass
from builder.errors import ContextError, PybuildError
from builder.lang.ignore import IgnoreRules
from builder.oci.hosts import is_loopback
from builder.source import Span
from builder.stages.hands import Hands
from builder.stages.source_tree import HostTree
from builder.tree.fingerprint import Fingerprints
from builder.tree.remove import remove_tree
from builder.tree.safe import Root, Walk
from builder.values.event import Emit, Note
from builder.values.key import Plain
from builder.values.repository import Repository
from builder.values.request import BuildRequest

if TYPE_CHECKING:
    from builder.kernel.git import Git

CHECKOUT = "checkout"
"""The name in a scratch directory that a repository's files are under."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A repository and the commit of it that is meant."""

    repository: Repository
    id: str

    def facts(self) -> Plain:
        """What decides the content of a layer."""
        repository = self.repository
        kept = [repository.remote, repository.ref] if repository.keep_git_dir else []
        return ["git", self.id, repository.subdir, repository.submodules, *kept]


def find_commit(repository: Repository, span: Span, hands: Hands) -> Commit:
    """Ask which commit is meant, unless its whole id is written. Raises ContextError, MachineError at `span`."""
    try:
        return commit_of(repository, hands.request)
    except PybuildError as error:
        raise error.at(span) from None


def commit_of(repository: Repository, request: BuildRequest) -> Commit:
    """The same without a place."""
    named = repository.commit
    if repository.scheme == "http" and named is None and not is_loopback(repository.host):
        raise ContextError(
            f"{repository.shown} would be fetched without encryption: anybody on the way could change it",
            hint="use https, or name a whole commit id behind #",
        )
    if named is None:
        return Commit(repository, _git(request).commit_of(repository))
    if repository.checksum is not None and not named.startswith(repository.checksum):
        raise ContextError(f"the commit {named} of {repository.shown} is not {repository.checksum}")
    return Commit(repository, named)


@contextmanager
def checked_out(commit: Commit, hands: Hands) -> Iterator[HostTree]:
    """The files of a commit (of its directory that is named) while they are needed. Raises ContextError."""
    scratch = hands.store.snapshots.scratch()
    try:
        directory = check_out(commit, scratch, hands.request, hands.emit)
        root = Root.open(directory, Walk.NO_SYMLINKS)
        fingerprints = Fingerprints.load(scratch / "fingerprints")
        with closing(HostTree(root, IgnoreRules(), fingerprints, f"the repository {commit.repository.shown}")) as tree:
            yield tree
    finally:
        remove_tree(os.fsencode(scratch / CHECKOUT))
        hands.store.snapshots.discard(scratch)


def check_out(commit: Commit, scratch: Path, request: BuildRequest, emit: Emit) -> Path:
    """Fetch a commit into a scratch directory of ours; the path of its files. Raises ContextError, MachineError."""
    emit(Note(f"fetching {commit.repository.shown} at commit {commit.id}"))
    into = scratch / CHECKOUT
    _git(request).check_out(commit.repository, commit.id, into)
    return _directory_in(into, commit.repository)


def _git(request: BuildRequest) -> Git:
    # Not at the top: few builds have a repository, and none should pay for the others.
    from builder.kernel.git import Git

    agent = next((agent.socket for agent in request.ssh if agent.id == "default"), None)
    return Git(request.proxies, agent)


def _directory_in(checkout: Path, repository: Repository) -> Path:
    if not repository.subdir:
        return checkout
    try:
        with Root.open(checkout, Walk.NO_SYMLINKS) as root, root.sub(os.fsencode(repository.subdir)):
            return checkout / repository.subdir
    except OSError as error:
        raise ContextError(
            f"the directory {repository.subdir!r} of {repository.shown} cannot be used: {error.strerror}",
            hint="it has to be a directory of the repository, with no symbolic link on the way",
        ) from None
