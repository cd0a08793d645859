"""Where files to copy come from, as one interface: the build context, a named directory, a stage, an image.

Paths are bytes relative to the tree's root, as in Entry. Nothing a path says leads out of the tree.
"""

from __future__ import annotations

import os
import threading
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
from builder.tree.listing import Listing, Places
from builder.tree.safe import Root, Walk, shown
from builder.tree.scan import OpenFiles, list_directory
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

    def digests(self, entries: Sequence[Entry]) -> Iterator[str]:
        """The sha256 (hex) of the content of each of these files, read where it has to be, while they are asked for."""

    def contents(self, entries: Sequence[Entry]) -> Callable[[Entry], Content]:
        """A function that gives the content of each of these files, to be packed. For one thread."""

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
        self._listed: dict[bytes, Listing] = {}
        self._shown: dict[bytes, list[Entry]] = {}
        self._listing = threading.Lock()
        self._hashing = threading.Lock()  # what two targets copy is read once
        self._learning = threading.Lock()

    def close(self) -> None:
        """Let go of the directory."""
        self._root.close()

    def look(self, path: bytes) -> Entry | None:
        if not path:
            return Entry(b"", Kind.DIR, 0o755)
        listing = self._list(path.rpartition(b"/")[0])
        at = listing.place_of(path)
        return listing.entries[at] if at >= 0 and self._visible(listing.entries[at]) else None

    def names(self, path: bytes) -> Sequence[bytes]:
        cut = len(path) + 1 if path else 0
        return [entry.path[cut:] for entry in self.entries(path)]

    def entries(self, path: bytes) -> Sequence[Entry]:
        found = self._shown.get(path)
        if found is None:
            found = self._list(path).entries
            if self._rules.patterns:
                found = self._shown.setdefault(path, list(filter(self._visible, found)))
        return found

    def _list(self, path: bytes) -> Listing:
        listing = self._listed.get(path)
        if listing is None:
            with self._listing:
                listing = self._listed.get(path)
                if listing is None:
                    listing = Listing(list_directory(self._root, path).values())
                    self._fingerprints.recall(path, listing)
                    self._listed[path] = listing
        return listing

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
            for entry in self._list(path).entries:
                text = os.fsdecode(entry.path)
                if not self._rules.excludes(text):
                    return True
                if entry.kind is Kind.DIR and self._rules.may_readmit_below(text):
                    waiting.append(entry.path)
        return False

    def unread(self, entries: Sequence[Entry]) -> list[Entry]:
        self._require_room(entries)
        places = Places(self._list)
        unread = []
        for entry in entries:
            listing, at = places.find(entry)
            if not listing.knows(at):
                unread.append(entry)
        return unread

    def digests(self, entries: Sequence[Entry]) -> Iterator[str]:
        self._require_room(entries)
        return self._digests_of(entries)

    def _digests_of(self, entries: Sequence[Entry]) -> Iterator[str]:
        files, places = OpenFiles(self._root), Places(self._list)
        for entry in entries:
            listing, at = places.find(entry)
            digest = listing.digest(at)
            if not digest:
                with self._hashing:
                    digest = listing.digest(at) or self._fingerprints.read(files, listing, at)
            yield digest

    def contents(self, entries: Sequence[Entry]) -> Callable[[Entry], Content]:  # noqa: ARG002  each is found by itself
        files, places = OpenFiles(self._root), Places(self._list)
        return lambda entry: _OnceRead(self, files, *places.find(entry))

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

    def learn(self, listing: Listing, at: int, after: os.stat_result, digest: str) -> None:
        """Take the digest of a file that was packed as everybody's answer; `after` is its status after reading.

        Raises ContextError where it is no longer what was listed, or somebody has read something else.
        """
        with self._learning:
            entry, known = listing.entries[at], listing.digest(at)
            if known == digest:
                return
            if known or (after.st_size, after.st_mtime_ns) != (entry.size, entry.mtime_ns):
                raise changed(entry.path)
            self._fingerprints.learn(listing, at, after, digest)

    def save(self) -> None:
        """Keep what was learnt about unchanged files for the next build."""
        self._fingerprints.save(self._listed)

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
        return self._list(entry.path.rpartition(b"/")[0]).shared.get(entry.path)

    def missing_hint(self, path: bytes) -> str | None:
        if path and self._rules.patterns and self._root.exists(path):
            return "it is there, but the ignore file excludes it"
        parent, _, name = path.rpartition(b"/")
        real = real_path(self, parent)
        beside = self.names(real) if real is not None else ()
        top = "paths start at the top of the directory that is given to pybuild, wherever the Buildfile is"
        return did_you_mean(os.fsdecode(name), map(os.fsdecode, beside), top)


class _OnceRead:
    """A file of the host that is read when it is packed: then its digest is known, or is the one that was known."""

    __slots__ = ("_at", "_files", "_listing", "_tree")

    def __init__(self, tree: HostTree, files: OpenFiles, listing: Listing, at: int) -> None:
        self._tree = tree
        self._files = files
        self._listing = listing
        self._at = at

    def open(self) -> int:
        return self._tree.open_file(self._files, self._listing.entries[self._at].path)

    def learn(self, fd: int, digest: str) -> None:
        self._tree.learn(self._listing, self._at, os.fstat(fd), digest)


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

    def digests(self, entries: Sequence[Entry]) -> Iterator[str]:
        return (entry.digest for entry in entries)

    def contents(self, entries: Sequence[Entry]) -> Callable[[Entry], Content]:
        openers = dict(zip((entry.path for entry in entries), self.openers(entries), strict=True))
        return lambda entry: openers[entry.path]

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
