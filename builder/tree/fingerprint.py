"""Digests of context files, with a table that remembers them: an unchanged file is known by its status alone.

A row is trusted when path, size, mtime, ctime and inode are as they were. ctime cannot be set by programs, so any
change shows in it, except one within the same tick of the clock as the read. Therefore a file that was changed less
than two seconds before it was read is not remembered (two seconds: FAT's ticks; ext4's are 4 ms or less).

The table is one JSON object: `version`, and the columns `paths`, `facts` ("size mtime_ns ctime_ns inode") and
`digests` (sha256, hex). Columns, because that loads three times as fast as rows. It is a cache: one that cannot be
read is an empty one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from pathlib import Path

from builder.errors import ContextError
from builder.tree.safe import WrongKind, shown
from builder.tree.scan import OpenFiles, Scanned

FINGERPRINT_VERSION = 1
_CLOCK_TICK_NS = 2_000_000_000
_READ_BYTES = 1 << 20
_MOST_UNSEEN = 100_000  # rows of files that this build did not ask for


class Fingerprints:
    """The remembered digests of one context. Safe to use from several threads."""

    def __init__(self, path: Path, known: dict[str, tuple[str, str]]) -> None:
        self._path = path
        self._known = known  # path → facts, digest
        self._seen: dict[str, tuple[str, str]] = {}
        self._is_changed = False

    @classmethod
    def load(cls, path: Path) -> Fingerprints:
        """The table in the file `path`; an empty one where there is none that can be read."""
        try:
            return cls(path, _columns(json.loads(path.read_bytes())))
        except (OSError, ValueError, RecursionError):
            return cls(path, {})

    def digest_of(self, files: OpenFiles, scanned: Scanned) -> str:
        """The sha256 (hex) of a regular file of the context, read only if it is not remembered. Raises ContextError."""
        known = self.known(scanned)
        if known:
            return known
        begun_ns = time.time_ns()
        digest, after = _read(files, scanned)
        self.learn(scanned, after, digest, begun_ns)
        return digest

    def known(self, scanned: Scanned) -> str:
        """The digest of a file that is remembered and unchanged; "" of any other."""
        if not self._known:
            return ""
        entry, mtime_ns, ctime_ns, inode, _, _ = scanned
        name = entry.path.decode("utf-8", "surrogateescape")
        row = self._known.get(name)
        if row is None or row[0] != f"{entry.size} {mtime_ns} {ctime_ns} {inode}":
            return ""
        self._seen[name] = row
        return row[1]

    def learn(self, scanned: Scanned, after: os.stat_result, digest: str, begun_ns: int) -> None:
        """Remember what was read of a file, unless it changed since it was `scanned`, or might have.

        `after` is its status after reading, `begun_ns` the time before.
        """
        entry, mtime_ns, ctime_ns, inode, _, _ = scanned
        same = ctime_ns == after.st_ctime_ns and inode == after.st_ino
        same = same and entry.size == after.st_size and mtime_ns == after.st_mtime_ns
        if same and ctime_ns < begun_ns - _CLOCK_TICK_NS:
            facts = f"{entry.size} {mtime_ns} {ctime_ns} {inode}"
            self._seen[entry.path.decode("utf-8", "surrogateescape")] = (facts, digest)
            self._is_changed = True

    def save(self) -> None:
        """Write the table if it has anything new. Where that fails (no space), or another process is writing this very
        table now, it is left as it was: all that is lost is time."""
        if not self._is_changed:
            return
        unseen = [(name, row) for name, row in self._known.items() if name not in self._seen]
        rows = dict(unseen[:_MOST_UNSEEN]) | self._seen
        try:
            _replace(self._path, _document(rows))
        except OSError:
            return
        self._known, self._is_changed = rows, False


def _document(rows: dict[str, tuple[str, str]]) -> bytes:
    document = {
        "version": FINGERPRINT_VERSION,
        "paths": list(rows),
        "facts": [facts for facts, _ in rows.values()],
        "digests": [digest for _, digest in rows.values()],
    }
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def _replace(path: Path, data: bytes) -> None:
    """Replace a file whole, by way of `<path>.new`: one name, so that killed processes leave at most one behind."""
    new = path.with_name(path.name + ".new")
    fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_ino != os.lstat(new).st_ino:
            return  # between our open and our lock another process made this very file the table
        os.ftruncate(fd, 0)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.rename(new, path)
    except BlockingIOError:
        return
    except OSError:
        os.ftruncate(fd, 0)  # gives its space back, and cannot take away what another process renames
        raise
    finally:
        os.close(fd)


def _columns(document: object) -> dict[str, tuple[str, str]]:
    """Raises ValueError for anything but a table of this version."""
    if not isinstance(document, dict) or document.get("version") != FINGERPRINT_VERSION:
        raise ValueError("not a table of this version")
    columns = [document.get(name) for name in ("paths", "facts", "digests")]
    paths, facts, digests = (column if isinstance(column, list) else [] for column in columns)
    if not len(paths) == len(facts) == len(digests) or set(map(type, paths + facts + digests)) - {str}:
        raise ValueError("the columns do not fit")
    if any(len(digest) != 64 for digest in digests):
        raise ValueError("not digests")
    return dict(zip(paths, zip(facts, digests, strict=True), strict=True))


def _read(files: OpenFiles, scanned: Scanned) -> tuple[str, os.stat_result]:
    """The digest of the file, and its status after reading. Raises ContextError."""
    path = scanned.entry.path
    try:
        fd = files.open(path)
        try:
            digest, size = _hashed(fd, scanned.entry.size)
            after = os.fstat(fd)
        finally:
            os.close(fd)
    except WrongKind as error:
        raise ContextError(f"{shown(path)} is {error.kind}, not a file") from error
    except OSError as error:
        hint = "make it readable for you, or leave it out by a line in .dockerignore"
        raise ContextError(f"cannot read {shown(path)}: {os.strerror(error.errno or 0)}", hint=hint) from error
    if size != scanned.entry.size:
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
