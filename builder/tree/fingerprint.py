"""Digests of context files, with a table that remembers them: an unchanged file is known by its status alone.

A row is trusted when path, size, mtime, ctime and inode are as they were. ctime cannot be set by programs, so any
change shows in it, except one within the same tick of the clock as the read. Therefore a file that was changed less
than two seconds before the build began is not remembered (two seconds: FAT's ticks; ext4's are 4 ms or less).

The table is JSON Lines: `{"version":2}`, then for each directory its path as a string, and after it lines of three
columns: names, facts ("size mtime_ns ctime_ns inode") and digests (sha256, hex). Columns, because they load three times
as fast as rows; lines, because a directory's are only parsed when it is listed, and none are ever all in memory. It is
a cache: a table or a line that cannot be read is an empty one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from builder.errors import ContextError
from builder.tree.listing import Listing
from builder.tree.safe import WrongKind, shown
from builder.tree.scan import OpenFiles
from builder.values.entry import Entry

FINGERPRINT_VERSION = 2
_CLOCK_TICK_NS = 2_000_000_000
_READ_BYTES = 1 << 20
_ROWS = 1000  # of a line
_MOST_UNSEEN_BYTES = 16 << 20  # of directories that this build did not list


class Fingerprints:
    """The remembered digests of one context."""

    def __init__(self, path: Path, known: dict[str, list[bytes]]) -> None:
        self._path = path
        self._known = known  # directory → its lines, until it is listed
        self._begun_ns = time.time_ns()
        self._restless: set[bytes] = set()  # paths of files whose status was another one after they were read
        self._is_changed = False

    @classmethod
    def load(cls, path: Path) -> Fingerprints:
        """The table in the file `path`; an empty one where there is none that can be read."""
        try:
            return cls(path, _lines_of(path))
        except (OSError, ValueError, RecursionError):
            return cls(path, {})

    def recall(self, directory: bytes, listing: Listing) -> None:
        """Tell a new listing the digests of those files that are as they were. May be called once for a directory."""
        for line in self._known.pop(_text(directory), ()):
            try:
                _recall(json.loads(line), directory, listing)
            except (ValueError, TypeError, AttributeError, RecursionError):
                continue

    def read(self, files: OpenFiles, listing: Listing, at: int) -> str:
        """The sha256 (hex) of a regular file of the context; it is read. Raises ContextError."""
        digest, after = _read(files, listing.entries[at])
        self.learn(listing, at, after, digest)
        return digest

    def learn(self, listing: Listing, at: int, after: os.stat_result, digest: str) -> None:
        """Take what was read of a file; `after` is its status after reading.

        It is not remembered for other builds where it changed since it was listed.
        """
        listing.learn(at, digest)
        if not listing.is_still(at, after):
            self._restless.add(listing.entries[at].path)
        elif not self._is_changed:
            self._is_changed = self._is_settled(listing, at)

    def save(self, listings: Mapping[bytes, Listing]) -> None:
        """Write the table if it has anything new. Where that fails (no space), or another process is writing this very
        table now, it is left as it was: all that is lost is time."""
        if not self._is_changed:
            return
        try:
            _replace(self._path, self._lines(listings))
        except OSError:
            return
        self._is_changed = False

    def _is_settled(self, listing: Listing, at: int) -> bool:
        return listing.ctime_ns(at) < self._begun_ns - _CLOCK_TICK_NS

    def _lines(self, listings: Mapping[bytes, Listing]) -> Iterator[bytes]:
        yield _line({"version": FINGERPRINT_VERSION})
        for directory, listing in listings.items():
            rows = self._rows(directory, listing)
            some = list(islice(rows, _ROWS))
            if some:
                yield _line(_text(directory))
            while some:
                yield _line(list(zip(*some, strict=True)))
                some = list(islice(rows, _ROWS))
        room = _MOST_UNSEEN_BYTES
        for name, lines in self._known.items():
            room -= sum(map(len, lines))
            if room < 0:
                return
            yield _line(name)
            yield from lines

    def _rows(self, directory: bytes, listing: Listing) -> Iterator[tuple[str, str, str]]:
        cut = len(directory) + 1 if directory else 0
        for at, entry in enumerate(listing.entries):
            digest = listing.digest(at)
            if digest and self._is_settled(listing, at) and entry.path not in self._restless:
                yield _text(entry.path[cut:]), listing.facts(at), digest


def _lines_of(path: Path) -> dict[str, list[bytes]]:
    """The lines of each directory, not parsed. Raises OSError, ValueError for anything but a table of this version."""
    known: dict[str, list[bytes]] = {}
    with open(path, "rb") as file:
        head = json.loads(file.readline(100))
        if not isinstance(head, dict) or head.get("version") != FINGERPRINT_VERSION:
            raise ValueError("not a table of this version")
        lines: list[bytes] = []
        for line in file:
            if line.startswith(b'"'):
                lines = known.setdefault(str(json.loads(line)), [])
            else:
                lines.append(line)
    return known


def _recall(columns: list[list[str]], directory: bytes, listing: Listing) -> None:
    """Take the rows of a line. Raises ValueError, TypeError or AttributeError for what is damaged."""
    prefix = directory + b"/" if directory else b""
    entries, count, at = listing.entries, len(listing.entries), -1
    for name, facts, digest in zip(*columns, strict=True):
        path = prefix + name.encode("utf-8", "surrogateescape")
        at += 1  # the rows were written in the order of a listing
        if at >= count or entries[at].path != path:
            at = listing.place_of(path)
        if at >= 0 and facts == listing.facts(at):
            listing.learn(at, digest)


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def _replace(path: Path, lines: Iterable[bytes]) -> None:
    """Replace a file whole, by way of `<path>.new`: one name, so that killed processes leave at most one behind."""
    new = path.with_name(path.name + ".new")
    fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_ino != os.lstat(new).st_ino:
            return  # between our open and our lock another process made this very file the table
        os.ftruncate(fd, 0)
        with open(fd, "wb", closefd=False) as file:
            file.writelines(lines)
        os.rename(new, path)
    except BlockingIOError:
        return
    except OSError:
        os.ftruncate(fd, 0)  # gives its space back, and cannot take away what another process renames
        raise
    finally:
        os.close(fd)


def _read(files: OpenFiles, entry: Entry) -> tuple[str, os.stat_result]:
    """The digest of the file, and its status after reading. Raises ContextError."""
    path = entry.path
    try:
        fd = files.open(path)
        try:
            digest, size = _hashed(fd, entry.size)
            after = os.fstat(fd)
        finally:
            os.close(fd)
    except WrongKind as error:
        raise ContextError(f"{shown(path)} is {error.kind}, not a file") from error
    except OSError as error:
        hint = "make it readable for you, or leave it out by a line in .dockerignore"
        raise ContextError(f"cannot read {shown(path)}: {os.strerror(error.errno or 0)}", hint=hint) from error
    if size != entry.size:
        raise changed(path)
    return digest, after


def changed(path: bytes) -> ContextError:
    """What to say of a file that somebody writes to."""
    return ContextError(f"{shown(path)} changed while it was read", hint="build again when nothing writes there")


def _hashed(fd: int, expected: int) -> tuple[str, int]:
    hasher = hashlib.sha256()
    size = 0
    at_once = min(expected + 1, _READ_BYTES)  # a small file needs no large buffer
    while data := os.read(fd, at_once):
        hasher.update(data)
        size += len(data)
        if size > expected:
            break  # it grew: no need to read a log that never ends
    return hasher.hexdigest(), size
