"""Where files to copy come from, as one interface: the build context, a named directory, a stage, an image.

Paths are bytes relative to the tree's root, as in Entry. Nothing a path says leads out of the tree.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from builder.errors import ContextError
from builder.lang.ignore import IgnoreRules
from builder.lang.suggest import did_you_mean
from builder.stages.layers import Layers
from builder.tree import bounds
from builder.tree.fingerprint import Fingerprints, changed
from builder.tree.safe import Root, Walk, shown
from builder.tree.scan import OpenFiles, Scanned, list_directory
from builder.values.entry import Entry, Kind
from builder.values.limits import raised_by
from builder.values.stack import Stack

if TYPE_CHECKING:
    from builder.tree.pack import Content
    from builder.tree.view import Located

Opener = Callable[[], int]
_MAX_LINKS = 40


class SourceTree(Protocol):
    """A tree that COPY and bind mounts take from."""

    @property
    def title(self) -> str:
        """What people call it, for "not found in …"."""

    def look(self, path: bytes) -> Entry | None:
        """What is at this very path, or None where there is nothing or an ignore file hides it."""

    def names(self, path: bytes) -> Sequence[bytes]:
        """The sorted names in a directory, without what is hidden."""

    def entries(self, path: bytes) -> Sequence[Entry]:
        """What is in a directory, sorted by name, without what is hidden."""

    def unread(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those of these files whose digests nobody knows without reading them."""

    def digests(self, entries: Sequence[Entry]) -> list[str]:
        """The sha256 (hex) of the content of each of these files, read where it has to be."""

    def contents(self, entries: Sequence[Entry]) -> list[tuple[str, Content]]:
        """For each of these files its digest, "" while nobody knows it, and its content to be packed."""

    def openers(self, entries: Sequence[Entry]) -> list[Opener]:
        """For each of these files a function that opens its content; an fd positioned at its start."""

    def identity(self, entry: Entry) -> Hashable:
        """What all names of one file have in common, and no two files; None where it has no other name."""

    def missing_hint(self, path: bytes) -> str | None:
        """Why there might be nothing at this path."""


def real_path(tree: SourceTree, path: bytes, follow_last: bool = True) -> bytes | None:
    """The path with links followed inside the tree; None where there is nothing. Raises ContextError for a loop."""
    waiting = path.split(b"/")[::-1]
    real: list[bytes] = []
    links = 0
    while waiting:
        part = waiting.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            del real[-1:]
            continue
        entry = tree.look(b"/".join((*real, part)))
        if entry is None:
            return None
        if entry.kind is Kind.SYMLINK and (waiting or follow_last):
            links += 1
            if links > _MAX_LINKS:
                raise ContextError(f"too many symlinks on the way to {shown(path)} in {tree.title}")
            if entry.link.startswith(b"/"):
                real.clear()
            waiting += entry.link.split(b"/")[::-1]
            continue
        if waiting and entry.kind is not Kind.DIR:
            return None
        real.append(part)
    return b"/".join(real)


def walk(tree: SourceTree, top: bytes) -> Iterator[Entry]:
    """Everything below the directory `top`, depth first, names sorted; `top` itself is left out."""
    frames = [iter(tree.entries(top))]
    while frames:
        for entry in frames[-1]:
            yield entry
            if entry.kind is Kind.DIR:
                frames.append(iter(tree.entries(entry.path)))
                break
        else:
            frames.pop()


class HostTree:
    """A directory of the host without what its ignore rules exclude. Listed as far as it is asked for.

    What was seen once holds for the whole build, digests too: a layer is never made of other content than its key was.
    So of threads that look at the same thing at the same time, the first one's answer is everybody's.
    """

    def __init__(self, root: Root, rules: IgnoreRules, fingerprints: Fingerprints, title: str) -> None:
        self.title = title
        self._root = root
        self._rules = rules
        self._fingerprints = fingerprints
        self._listed: dict[bytes, dict[bytes, Scanned]] = {}
        self._digests: dict[bytes, str] = {}
        self._shown: dict[bytes, list[Entry]] = {}
        self._hashing = threading.Lock()  # what two targets copy is read once

    def close(self) -> None:
        """Let go of the directory."""
        self._root.close()

    def look(self, path: bytes) -> Entry | None:
        if not path:
            return Entry(b"", Kind.DIR, 0o755)
        scanned = self._scanned(path)
        if scanned is None or not self._visible(scanned.entry):
            return None
        return scanned.entry

    def names(self, path: bytes) -> Sequence[bytes]:
        cut = len(path) + 1 if path else 0
        return [entry.path[cut:] for entry in self.entries(path)]

    def entries(self, path: bytes) -> Sequence[Entry]:
        found = self._shown.get(path)
        if found is None:
            seen = [scanned.entry for scanned in self._list(path).values() if self._visible(scanned.entry)]
            found = self._shown.setdefault(path, seen)
        return found

    def _scanned(self, path: bytes) -> Scanned | None:
        parent, _, name = path.rpartition(b"/")
        rows = self._listed.get(parent)
        return (self._list(parent) if rows is None else rows).get(name)

    def _list(self, path: bytes) -> dict[bytes, Scanned]:
        rows = self._listed.get(path)
        if rows is None:
            rows = self._listed.setdefault(path, list_directory(self._root, path))
        return rows

    def _visible(self, entry: Entry) -> bool:
        if not self._rules.patterns:
            return True
        text = os.fsdecode(entry.path)
        if not self._rules.excludes(text):
            return True
        if entry.kind is not Kind.DIR or not self._rules.may_readmit_below(text):
            return False
        return self._shows_something(entry.path)

    def _shows_something(self, top: bytes) -> bool:
        """Whether something below an excluded directory is admitted again; then the directory shows too."""
        waiting = [top]
        while waiting:
            path = waiting.pop()
            for name, scanned in self._list(path).items():
                child = path + b"/" + name
                text = os.fsdecode(child)
                if not self._rules.excludes(text):
                    return True
                if scanned.entry.kind is Kind.DIR and self._rules.may_readmit_below(text):
                    waiting.append(child)
        return False

    def unread(self, entries: Sequence[Entry]) -> list[Entry]:
        self._require_room(entries)
        digests, known = self._digests, self._fingerprints.known
        unread = []
        with self._hashing:
            for entry in entries:
                path = entry.path
                if path not in digests:
                    scanned = self._scanned(path)
                    digest = "" if scanned is None else known(scanned)
                    if digest:
                        digests[path] = digest
                    else:
                        unread.append(entry)
        return unread

    def digests(self, entries: Sequence[Entry]) -> list[str]:
        files = OpenFiles(self._root)
        for entry in self.unread(entries):
            with self._hashing:
                if entry.path not in self._digests:
                    self._digests[entry.path] = self._digest(files, entry)
        return [self._digests[entry.path] for entry in entries]

    def contents(self, entries: Sequence[Entry]) -> list[tuple[str, Content]]:
        files = OpenFiles(self._root)
        found: list[tuple[str, Content]] = []
        for entry in entries:
            digest = self._digests.get(entry.path, "")
            scanned = None if digest else self._scanned(entry.path)
            if scanned is None:
                found.append((digest, self._opener(files, entry.path)))
            else:
                found.append(("", _Unread(self, files, scanned)))
        return found

    def _require_room(self, entries: Sequence[Entry]) -> None:
        """Raises ContextError for more than a layer holds, before a byte is read: a sparse file may say terabytes."""
        total = sum([entry.size for entry in entries])
        most = bounds.limits().layer_bytes
        if total > most:
            largest = max(entries, key=lambda entry: entry.size)
            raise ContextError(
                f"{len(entries)} files of {self.title} have {total} bytes, {shown(largest.path)} among them"
                f" {largest.size}: no layer holds more than {most}",
                hint=f"leave out what is not needed by a line in .dockerignore; {raised_by('layer')}",
            )

    def _digest(self, files: OpenFiles, entry: Entry) -> str:
        scanned = self._scanned(entry.path)
        if scanned is None:
            raise ContextError(f"{shown(entry.path)} went away while it was read")
        return self._fingerprints.digest_of(files, scanned)

    def learn(self, scanned: Scanned, after: os.stat_result, digest: str, begun_ns: int) -> None:
        """Take the digest of a file that was packed as everybody's answer.

        `after` is its status after reading, `begun_ns` the time before. Raises ContextError where it is no longer what
        was listed, or somebody has read something else.
        """
        path = scanned.entry.path
        if (after.st_size, after.st_mtime_ns) != (scanned.entry.size, scanned.mtime_ns):
            raise changed(path)
        if self._digests.setdefault(path, digest) != digest:
            raise changed(path)
        self._fingerprints.learn(scanned, after, digest, begun_ns)

    def openers(self, entries: Sequence[Entry]) -> list[Opener]:
        files = OpenFiles(self._root)
        return [self._opener(files, entry.path) for entry in entries]

    def _opener(self, files: OpenFiles, path: bytes) -> Opener:
        return partial(self.open_file, files, path)

    def open_file(self, files: OpenFiles, path: bytes) -> int:
        """A descriptor of a file. Raises ContextError."""
        try:
            return files.open(path)
        except OSError as error:
            raise ContextError(f"cannot read {shown(path)} in {self.title}: {error.strerror}") from error

    def identity(self, entry: Entry) -> Hashable:
        scanned = self._scanned(entry.path)
        return None if scanned is None or scanned.names == 1 else (scanned.device, scanned.inode)

    def missing_hint(self, path: bytes) -> str | None:
        if path and self._rules.patterns and self._root.exists(path):
            return "it is there, but the ignore file excludes it"
        parent, _, name = path.rpartition(b"/")
        real = real_path(self, parent)
        beside = self.names(real) if real is not None else ()
        top = "paths start at the top of the directory that is given to pybuild, wherever the Buildfile is"
        return did_you_mean(os.fsdecode(name), map(os.fsdecode, beside), top)


class _Unread:
    """A file of the host that is read when it is packed."""

    __slots__ = ("_begun_ns", "_files", "_scanned", "_tree")

    def __init__(self, tree: HostTree, files: OpenFiles, scanned: Scanned) -> None:
        self._tree = tree
        self._files = files
        self._scanned = scanned
        self._begun_ns = 0

    def open(self) -> int:
        self._begun_ns = time.time_ns()
        return self._tree.open_file(self._files, self._scanned.entry.path)

    def learn(self, fd: int, digest: str) -> None:
        self._tree.learn(self._scanned, os.fstat(fd), digest, self._begun_ns)


class StackTree:
    """The merged file system of a stack of layers, read from their indexes and blobs."""

    def __init__(self, layers: Layers, stack: Stack, title: str) -> None:
        self.title = title
        self._layers = layers
        self._stack = stack
        self._view = layers.view(stack)

    def look(self, path: bytes) -> Entry | None:
        located = self._view.get(path)
        return None if located is None else located.entry

    def names(self, path: bytes) -> Sequence[bytes]:
        return self._view.children(path)

    def entries(self, path: bytes) -> Sequence[Entry]:
        prefix = path + b"/" if path else b""
        located = (self._view.get(prefix + name) for name in self._view.children(path))
        return [one.entry for one in located if one is not None]

    def unread(self, entries: Sequence[Entry]) -> list[Entry]:  # noqa: ARG002  the indexes have all digests
        return []

    def digests(self, entries: Sequence[Entry]) -> list[str]:
        return [entry.digest for entry in entries]

    def contents(self, entries: Sequence[Entry]) -> list[tuple[str, Content]]:
        return list(zip(self.digests(entries), self.openers(entries), strict=True))

    def openers(self, entries: Sequence[Entry]) -> list[Opener]:
        located = [self._located(entry) for entry in entries]
        opener = self._layers.contents(self._stack, located)
        return [opener(one) for one in located]

    def _located(self, entry: Entry) -> Located:

        located = self._view.get(entry.path)
        if located is None:
            raise ContextError(f"{shown(entry.path)} is not in {self.title}")
        return located

    def identity(self, entry: Entry) -> Hashable:
        located = self._located(entry)
        return (located.layer, located.first_name)

    def missing_hint(self, path: bytes) -> str | None:  # noqa: ARG002  the protocol's
        return "paths start at the root of that file system"


def host_directory(path: Path, title: str) -> Root:
    """A handle on a directory of the host. Raises ContextError where it is missing or unreadable."""
    try:
        return Root.open(path, Walk.NO_SYMLINKS)
    except NotADirectoryError:
        raise ContextError(
            f"{title} {path} is not a directory", hint="give the directory that holds the files"
        ) from None
    except FileNotFoundError:
        raise ContextError(f"{title} {path} does not exist") from None
    except OSError as error:
        raise ContextError(f"{title} {path} cannot be read: {error.strerror}") from None
