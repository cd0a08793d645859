"""Tar archives as a stream of entries, read in one pass and never backwards. Nothing here touches a file system.

What a stranger may not do is refused here once for everybody: names that leave the root, sizes that two headers
disagree about, headers without an end. What it all means on disk (or that a name is already taken) is not known here.
Sources: POSIX.1-2017, pax; GNU tar manual, "Basic Tar Format"; OCI image-spec, layer.md; Go's archive/tar for what the
images of the world rely on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Protocol

from builder.errors import ImageError
from builder.tree import bounds, pax
from builder.tree.inode import MAX_PATH_BYTES
from builder.tree.safe import shown
from builder.values.entry import Entry, Kind

_BLOCK = 512
_ZERO = bytes(_BLOCK)
_PIECE_BYTES = 256 << 10
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12s")
_MAX_OCTAL_SIZE = 0o77777777777
_MAX_TARGET_BYTES = 4095  # of a symbolic link: PATH_MAX without its NUL
_WHITEOUT = b".wh."
_OPAQUE_NAME = b".wh..wh..opq"
_AUFS = b".wh..wh."  # other names with this prefix are AUFS's own book-keeping in very old images
_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,  # "contiguous", which POSIX lets us read as a plain file
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHAR,
    b"4": Kind.BLOCK,
    b"5": Kind.DIR,
    b"6": Kind.FIFO,
}


class Readable(Protocol):
    """Where a tar comes from."""

    def read(self, count: int, /) -> bytes: ...


class _Input:
    """The bytes of the archive, read in large pieces; `offset` is how many have been consumed."""

    __slots__ = ("_at", "_before", "_buffer", "_stream")

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._buffer = b""
        self._at = 0
        self._before = 0

    @property
    def offset(self) -> int:
        return self._before + self._at

    def block(self) -> bytes:
        """The next block, or b"" at the end of the stream."""
        block = self._buffer[self._at : self._at + _BLOCK]
        if len(block) == _BLOCK:
            self._at += _BLOCK
            return block
        if self._fill() or self._at < len(self._buffer):  # what is left of a block is one that was cut off
            return self.take(_BLOCK)
        return b""

    def take(self, count: int) -> bytes:
        """Exactly `count` bytes, which must be few enough to be held."""
        while len(self._buffer) - self._at < count:
            if not self._fill():
                raise _truncated(self.offset) if self.offset else _no_tar()
        at = self._at
        self._at = at + count
        return self._buffer[at : at + count]

    def pieces(self, count: int) -> Iterable[bytes]:
        """The next `count` bytes in pieces."""
        at = self._at
        end = at + count
        if end > len(self._buffer):
            return self._long_pieces(count)
        self._at = end
        return (self._buffer[at:end],)

    def skip(self, count: int) -> None:
        if self._at + count <= len(self._buffer):
            self._at += count
        else:
            for _ in self._long_pieces(count):
                pass

    def _long_pieces(self, count: int) -> Iterator[bytes]:
        while count:
            piece = self._buffer[self._at : self._at + count]
            self._at += len(piece)
            count -= len(piece)
            if piece:
                yield piece
            if count and not self._fill():
                raise _truncated(self.offset)

    def _fill(self) -> bytes:
        """Read a piece behind what is unread; returns what was read."""
        piece = self._stream.read(_PIECE_BYTES)
        self._before += self._at
        self._buffer = self._buffer[self._at :] + piece
        self._at = 0
        return piece


class Content:
    """The content of the entry in hand. It can be read once, until the next entry is asked for."""

    __slots__ = ("_input", "_left")

    def __init__(self, source: _Input) -> None:
        self._input = source
        self._left = 0

    def pieces(self) -> Iterable[bytes]:
        """All that is unread, in pieces of at most some 100 KiB; to be used up before anything else is read."""
        left, self._left = self._left, 0
        return self._input.pieces(left) if left else ()

    def read(self, count: int = -1) -> bytes:
        """The next `count` bytes, fewer at the end; all that is left if `count` is negative."""
        count = self._left if count < 0 else min(count, self._left)
        self._left -= count
        return b"".join(self._input.pieces(count))

    def _begin(self, size: int) -> None:
        self._left = size

    def _skip(self) -> None:
        self._input.skip(self._left)
        self._left = 0


def read_entries(stream: Readable) -> Iterator[tuple[Entry, Content]]:
    """The entries of an uncompressed tar in its order, each with its content, up to the end of the archive.

    What stands in `stream` after the archive's end is not read to its end here. Digests are empty; offsets are those of
    `stream`. Global PAX headers and volume labels are skipped, as is what AUFS kept for itself.
    Raises ImageError for what is damaged, cut short, hostile or (sparse files, unknown types) not supported.
    """
    source = _Input(stream)
    content = Content(source)
    while (header := _next_header(source)) is not None:
        entry, size = header
        content._begin(size)
        if entry is not None:
            yield entry, content
        content._skip()
        if size % _BLOCK:
            source.skip(-size % _BLOCK)


class _Extensions:
    """What the headers before an entry's own say about it."""

    __slots__ = ("long_link", "long_name", "records")

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        self.long_name = b""
        self.long_link = b""


_NO_EXTENSIONS = _Extensions()


def _next_header(source: _Input) -> tuple[Entry | None, int] | None:
    """The next entry (None for one to be passed over) with the size of its content; None at the end of the archive."""
    extensions = _NO_EXTENSIONS
    while True:
        offset = source.offset
        block = source.block()
        if not block or block == _ZERO:
            if extensions is not _NO_EXTENSIONS:
                raise _truncated(offset)
            if block:
                _check_end(source)
            return None
        if not pax.checksum_is_right(block):
            raise _damaged(offset, "the checksum of a header is wrong") if offset else _no_tar()
        try:
            flag = block[156:157]
            if flag in b"xgLK":
                if extensions is _NO_EXTENSIONS and flag != b"g":
                    extensions = _Extensions()
                _read_extension(source, block, extensions)
            else:
                return _entry_of(block, extensions, offset + _BLOCK)
        except ValueError as error:
            raise _damaged(offset, str(error)) from error


def _check_end(source: _Input) -> None:
    """After a block of zeros there is another, or nothing; what else there is would be hidden from other readers."""
    offset = source.offset
    if source.block() not in (b"", _ZERO):
        raise _damaged(offset, "there is data after the block that ends it")


def _read_extension(source: _Input, block: bytes, extensions: _Extensions) -> None:
    """Take in a PAX header (x), a global one (g, ignored, as Docker does) or a GNU long name (L) or link (K)."""
    size = pax.number(block[124:136])
    if not 0 <= size <= bounds.limits().header_bytes:
        most = bounds.limits().header_bytes
        raise ValueError(f"a header of {size} bytes is longer than the {most} allowed (--limit header=...)")
    data = source.take(size)
    source.skip(-size % _BLOCK)
    flag = block[156:157]
    if flag == b"x":
        extensions.records = pax.records(data)
    elif flag == b"L":
        extensions.long_name = data.partition(b"\0")[0]
    elif flag == b"K":
        extensions.long_link = data.partition(b"\0")[0]


def _entry_of(block: bytes, extensions: _Extensions, content_offset: int) -> tuple[Entry | None, int]:
    """The entry of a header, and the size of what follows it."""
    fields = _HEADER.unpack(block)
    name, mode, uid_field, gid_field, size_field, mtime, _, flag, link, magic = fields[:10]
    number = pax.number
    uid, gid, size, mtime_ns = number(uid_field), number(gid_field), number(size_field), pax.seconds_ns(number(mtime))
    name, link = name.partition(b"\0")[0], link.partition(b"\0")[0]
    if fields[14][0] and magic == b"ustar\x0000":  # GNU's older format has times where POSIX has the prefix
        name = _prefix_of(fields) + name
    kind = _KINDS.get(flag)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    if extensions is not _NO_EXTENSIONS:
        records = extensions.records
        name = extensions.long_name or _without_nul(records.get(b"path") or name)
        link = extensions.long_link or _without_nul(records.get(b"linkpath") or link)
        if records:
            uid = pax.decimal(records[b"uid"], "user id") if records.get(b"uid") else uid
            gid = pax.decimal(records[b"gid"], "group id") if records.get(b"gid") else gid
            mtime_ns = pax.time_ns(records[b"mtime"]) if records.get(b"mtime") else mtime_ns
            xattrs = pax.xattrs_of(records)
            if kind is Kind.FILE:
                size = _size_of(size, records, name)
    if kind is None:
        return _unusual(flag, name)
    path = clean_path(name)
    if kind is Kind.FILE:
        if flag == b"\0" and name.endswith(b"/"):  # how tars before POSIX wrote a directory
            kind, size = Kind.DIR, 0
        elif size < 0:
            raise ValueError(f"{shown(name)} has a negative size")
    else:
        size = 0  # what the field says is not the size of anything that follows (POSIX; Go reads it so too)
    if _WHITEOUT in path:
        entry = _whiteout_of(path)
        if entry is not _NO_WHITEOUT:
            return entry, size
    uid, gid = pax.identity(uid, "user id"), pax.identity(gid, "group id")
    offset = content_offset if kind is Kind.FILE else -1
    entry = Entry(path, kind, number(mode) & 0o7777, uid, gid, size, mtime_ns, b"", xattrs, offset)
    return (entry if kind is Kind.FILE and path else _with_link(entry, link, fields)), size


def _with_link(entry: Entry, link: bytes, fields: tuple[bytes, ...]) -> Entry:
    """An entry that is no file, with what its kind has besides: the link's target, the device's number."""
    if not entry.path and entry.kind is not Kind.DIR:
        raise ImageError("the tar says that its root is not a directory", hint=_HOSTILE)  # CVE-2021-29136
    if entry.kind is Kind.SYMLINK:
        if not link or len(link) > _MAX_TARGET_BYTES:
            raise ValueError(f"the symbolic link {shown(entry.path)} has no target that there can be")
        return entry._replace(link=link)
    if entry.kind is Kind.HARDLINK:
        return entry._replace(link=clean_path(link))
    if entry.kind is Kind.CHAR or entry.kind is Kind.BLOCK:
        return entry._replace(rdev=(pax.number(fields[12]), pax.number(fields[13])))
    return entry


def clean_path(name: bytes) -> bytes:
    """A name of a tar as a path below the root: without leading `/` and `./`, empty and `.` components.

    Raises ImageError for a `..` (what it means would depend on links that came before) and for what is too long;
    ValueError for no name at all.
    """
    path = name.strip(b"/")
    if path.startswith(b".") or b"/." in path or b"//" in path:
        parts = [part for part in path.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise ImageError(f"the tar names {shown(name)}, which could lead out of the root", hint=_HOSTILE)
        path = b"/".join(parts)
    elif not name:
        raise ValueError("an entry has no name")
    if len(path) > MAX_PATH_BYTES:
        raise ImageError(f"the path {shown(path)} is longer than {MAX_PATH_BYTES} bytes")
    return path


def _whiteout_of(path: bytes) -> Entry | None:
    """What a path with `.wh.` in it marks: a whiteout, an opaque directory, nothing (None), or `_NO_WHITEOUT`."""
    directory, _, name = path.rpartition(b"/")
    if name == _OPAQUE_NAME:
        return Entry(directory, Kind.OPAQUE, 0)
    if path.startswith(_AUFS) or b"/" + _AUFS in path:
        return None
    if path.startswith(_WHITEOUT) or b"/" + _WHITEOUT in path:
        hidden = name.removeprefix(_WHITEOUT)
        if directory.startswith(_WHITEOUT) or b"/" + _WHITEOUT in directory or hidden in (b"", b".", b"..", name):
            raise ImageError(f"the tar names {shown(path)}, which marks nothing that could be deleted", hint=_HOSTILE)
        return Entry(directory + b"/" + hidden if directory else hidden, Kind.WHITEOUT, 0)
    return _NO_WHITEOUT


_NO_WHITEOUT = Entry(b"", Kind.FILE)  # a path where `.wh.` stands inside a name


def _prefix_of(fields: tuple[bytes, ...]) -> bytes:
    prefix, tail = fields[14], fields[15]
    if tail.endswith(b"tar\0"):  # star keeps two times in the end of the prefix
        prefix = prefix[:131]
    prefix = prefix.partition(b"\0")[0]
    return prefix + b"/" if prefix else b""


def _without_nul(value: bytes) -> bytes:
    if b"\0" in value:
        raise ValueError(f"the name {shown(value)} holds a NUL byte")
    return value


def _size_of(size: int, records: dict[bytes, bytes], name: bytes) -> int:
    """The size of a file whose PAX records may give one.

    A writer leaves the header's own field wrong only where it cannot hold the size. Any other disagreement is made to
    have two readers see two archives (CVE-2025-62518).
    """
    if any(key.startswith(b"GNU.sparse.") for key in records):
        raise _sparse(name)
    if not records.get(b"size"):
        return size
    extended = pax.decimal(records[b"size"], "size")
    if extended != size and extended <= _MAX_OCTAL_SIZE:
        raise ImageError(f"the tar gives {shown(name)} two sizes, {size} and {extended}", hint=_HOSTILE)
    return extended


def _unusual(flag: bytes, name: bytes) -> tuple[None, int]:
    """A header that is no entry of ours: GNU's volume label is passed over, all else is refused, as containerd does.

    POSIX would have unknown types read as plain files; an image's file system would then silently be another.
    """
    if flag == b"V":
        return None, 0
    if flag == b"S":
        raise _sparse(name)
    raise ImageError(f"the tar has {shown(name)} as an entry of type '{shown(flag)}', which pybuild does not know")


_HOSTILE = "no ordinary tool writes this: do not trust where the archive comes from"


def _sparse(name: bytes) -> ImageError:
    return ImageError(f"the tar has {shown(name)} as a sparse file", hint="pack it again without tar's --sparse (-S)")


def _damaged(offset: int, what: str) -> ImageError:
    return ImageError(f"damaged tar: {what} (at byte {offset})", hint="fetch or make the archive again")


def _truncated(offset: int) -> ImageError:
    return ImageError(f"damaged tar: it ends too early, after {offset} bytes", hint="fetch or make the archive again")


def _no_tar() -> ImageError:
    return ImageError("this is not a tar archive", hint="pybuild reads tars, plain or compressed with gzip or zstd")
