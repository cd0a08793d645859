"""The index of a layer on disk: a table of its entries, written while the layer is packed or first read.

The file is JSON Lines. Its first line is `{"version":1,"diff_id":"sha256:…"}`; each further line is one entry, in the
layer's order, as an array: path, kind, mode, uid, gid, size, mtime_ns, link, offset, digest, and, only where there are
any, xattrs (`[[name, base64], …]`) and a device's [major, minor]. Bytes of names that are not UTF-8 are lone surrogates
(Python's surrogateescape), escaped. Which layers have an index and where it lies is the store's business.
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterable
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from builder.errors import ImageError, StoreError
from builder.tree.ahead import Ahead
from builder.tree.compress import decompressor
from builder.tree.tarformat import Content, read_entries
from builder.values.digest import DiffId
from builder.values.entry import Entry, Kind

INDEX_VERSION: Final = 1
_NO_DIFF_ID = DiffId("0" * 64)  # stands in the first line until the layer's end is known; as long as a real one
_BATCH = 1000
_KINDS = {kind.value: kind for kind in Kind}


class IndexWriter:
    """Writes an index to the new file `path`. Without `finish` it is not a whole index, and reading it fails."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = open(path, "xb", buffering=0)  # noqa: SIM115  # closed by finish or __exit__
        self._rows = [_head(_NO_DIFF_ID)]
        self.entries = 0

    def add(self, entry: Entry) -> None:
        """Write the row of `entry`."""
        self._rows.append(_row(entry))
        self.entries += 1
        if len(self._rows) >= _BATCH:
            self._flush()

    def finish(self, diff_id: DiffId) -> None:
        """Write the rest and the layer's identity, close. Who gives the file its name decides when it is synced."""
        self._flush()
        self._file.seek(0)
        self._file.write(_head(diff_id).encode())
        self._file.close()

    def _flush(self) -> None:
        data = memoryview("".join(self._rows).encode("ascii"))
        self._rows.clear()
        while data:
            data = data[self._file.write(data) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def write_index(path: str | os.PathLike[str], diff_id: DiffId, entries: Iterable[Entry]) -> int:
    """Write the index of a layer to the new file `path`; how many entries it has."""
    with IndexWriter(path) as writer:
        for entry in entries:
            writer.add(entry)
        writer.finish(diff_id)
        return writer.entries


def index_of(blob: Path, media_type: str, diff_id: DiffId, index: Path) -> int:
    """Write the index of the layer in the file `blob` to the new file `index`; how many entries it has.

    Nothing is unpacked. Raises ImageError where the layer is damaged, hostile or not `diff_id`, and then leaves no
    index; OSError where a file cannot be read or written.
    """
    try:
        with open(blob, "rb", buffering=0) as raw, IndexWriter(index) as writer:
            stream = _Hashed(decompressor(media_type, raw))
            with Ahead(stream) as ahead:
                for entry, content in read_entries(ahead):
                    writer.add(entry._replace(digest=_digest(content)) if entry.kind is Kind.FILE else entry)
                ahead.drain()  # what comes after the archive's end is part of the layer's identity
            if stream.diff_id() != diff_id:
                raise ImageError(
                    f"a layer's content is {stream.diff_id()} and not {diff_id}, as its image says",
                    hint="the image is damaged or was put together wrongly; fetch or build it again",
                )
            writer.finish(diff_id)
            return writer.entries
    except FileExistsError:
        raise
    except BaseException:
        index.unlink(missing_ok=True)
        raise


class _Hashed:
    """A stream that remembers the sha256 of what was read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()

    def read(self, count: int, /) -> bytes:
        data = self._stream.read(count)
        self._sha256.update(data)
        return data

    def diff_id(self) -> DiffId:
        return DiffId(self._sha256.hexdigest())


def _digest(content: Content) -> str:
    sha256 = hashlib.sha256()
    for piece in content.pieces():
        sha256.update(piece)
    return sha256.hexdigest()


def read_index(path: str | os.PathLike[str]) -> list[Entry]:
    """The entries of an index in the layer's order. Raises StoreError where it is damaged or of another version."""
    return _parsed(path)[1]


def index_diff_id(path: str | os.PathLike[str]) -> DiffId:
    """Which layer the index in `path` belongs to. Raises StoreError as `read_index` does."""
    with open(path, "rb") as file:
        return _diff_id(file.readline(1000), path)


def _parsed(path: str | os.PathLike[str]) -> tuple[DiffId, list[Entry]]:
    data = Path(path).read_bytes()
    first, newline, rest = data.partition(b"\n")
    diff_id = _diff_id(first, path)
    if not newline or (rest and not rest.endswith(b"\n")):
        raise _damaged(path)
    try:
        # One call for the whole table: the parser costs a third of what it does line by line.
        rows = json.loads(b"[" + rest[:-1].replace(b"\n", b",") + b"]")
        return diff_id, [_entry(*row) for row in rows]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _damaged(path) from error


def _head(diff_id: DiffId) -> str:
    return f'{{"version":{INDEX_VERSION},"diff_id":"{diff_id}"}}\n'


def _diff_id(line: bytes, path: str | os.PathLike[str]) -> DiffId:
    try:
        head = json.loads(line)
        version = head["version"]
        diff_id = DiffId.parse(head["diff_id"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _damaged(path) from error
    if version != INDEX_VERSION:
        raise StoreError(
            f"the layer index {os.fspath(path)!r} has version {version!r}; this pybuild reads {INDEX_VERSION}",
            hint="use a newer pybuild, or another store with --root",
        )
    if diff_id == _NO_DIFF_ID:
        raise _damaged(path)
    return diff_id


def _damaged(path: str | os.PathLike[str]) -> StoreError:
    return StoreError(f"the layer index {os.fspath(path)!r} is damaged", hint="remove it: it is made again when needed")


def _text(data: bytes) -> str:
    return quoted(data.decode("utf-8", "surrogateescape"))


def _row(entry: Entry) -> str:
    """An entry as a line; put together by hand, because the general encoder takes three times as long."""
    path, kind, mode, uid, gid, size, mtime_ns, link, xattrs, offset, digest, rdev = entry
    more = ""
    if xattrs or rdev != (0, 0):
        more = "," + json.dumps([[name, b64encode(value).decode()] for name, value in xattrs], separators=(",", ":"))
        if rdev != (0, 0):
            more += f",[{rdev[0]},{rdev[1]}]"
    return (
        f'[{_text(path)},"{kind}",{mode},{uid},{gid},{size},{mtime_ns},'
        f'{_text(link) if link else _EMPTY},{offset},"{digest}"{more}]\n'
    )


_EMPTY = '""'


def _entry(
    path: str,
    kind: str,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime_ns: int,
    link: str,
    offset: int,
    digest: str,
    xattrs: list[list[str]] | None = None,
    rdev: list[int] | None = None,
) -> Entry:
    """A row as an entry; what does not fit raises TypeError, ValueError or KeyError."""
    return Entry(
        path.encode("utf-8", "surrogateescape"),
        _KINDS[kind],
        mode,
        uid,
        gid,
        size,
        mtime_ns,
        link.encode("utf-8", "surrogateescape") if link else b"",
        tuple([(name, b64decode(value, validate=True)) for name, value in xattrs]) if xattrs else (),
        offset,
        digest,
        (rdev[0], rdev[1]) if rdev else (0, 0),
    )
