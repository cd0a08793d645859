"""Tars put together field by field, so that any of them can be wrong; and layers unpacked for a look at the result."""

from __future__ import annotations

import gzip
import io
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from builder.tree.tarformat import Content, read_entries
from builder.tree.unpack import unpack_layer
from builder.values.digest import DiffId
from builder.values.entry import Entry
from builder.values.image import MEDIA_LAYER, MEDIA_LAYER_GZIP

END = bytes(1024)
FILE, LINK, SYMLINK, CHAR, BLOCK, DIR, FIFO = (b"%d" % number for number in range(7))


def field(value: int | bytes, width: int) -> bytes:
    """A number as an octal field, or bytes as they are."""
    return value.ljust(width, b"\0") if isinstance(value, bytes) else b"%0*o\0" % (width - 1, value)


def header(
    name: bytes,
    flag: bytes = FILE,
    *,
    size: int | bytes = 0,
    mode: int | bytes = 0o644,
    uid: int | bytes = os.geteuid(),  # so that unpacking needs no power to change owners
    gid: int | bytes = os.getegid(),
    mtime: int | bytes = 1_600_000_000,
    link: bytes = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    rdev: tuple[int, int] = (0, 0),
) -> bytes:
    """One header block with the right checksum."""
    block = b"".join(
        (
            name.ljust(100, b"\0")[:100],
            field(mode, 8),
            field(uid, 8),
            field(gid, 8),
            field(size, 12),
            field(mtime, 12),
            b" " * 8,
            flag,
            link.ljust(100, b"\0")[:100],
            magic,
            bytes(64),
            field(rdev[0], 8),
            field(rdev[1], 8),
            prefix.ljust(155, b"\0"),
        )
    ).ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def file(name: bytes, data: bytes = b"", mode: int = 0o644) -> bytes:
    return header(name, size=len(data), mode=mode) + padded(data)


def directory(name: bytes, mode: int = 0o755, mtime: int = 1_600_000_000) -> bytes:
    return header(name, DIR, mode=mode, mtime=mtime)


def symlink(name: bytes, target: bytes) -> bytes:
    return header(name, SYMLINK, link=target, mode=0o777)


def hard_link(name: bytes, target: bytes) -> bytes:
    return header(name, LINK, link=target)


def record(key: bytes, value: bytes) -> bytes:
    """One record of a PAX header."""
    body = b" %b=%b\n" % (key, value)
    length = len(body) + 1
    while len(b"%d" % length) + len(body) != length:
        length += 1
    return b"%d%b" % (length, body)


def pax(records: Sequence[tuple[bytes, bytes]] | bytes, flag: bytes = b"x") -> bytes:
    """A PAX header with these records, or with any bytes."""
    data = records if isinstance(records, bytes) else b"".join(record(*each) for each in records)
    return header(b"PaxHeaders/x", flag, size=len(data)) + padded(data)


def gnu_long(text: bytes, flag: bytes) -> bytes:
    """GNU's header for a long name (L) or link (K)."""
    return header(b"././@LongLink", flag, size=len(text) + 1, magic=b"ustar  \0") + padded(text + b"\0")


def entries(tar: bytes) -> list[Entry]:
    """What `read_entries` says."""
    return [entry for entry, _ in read_entries(io.BytesIO(tar))]


def contents(tar: bytes) -> list[tuple[bytes, bytes]]:
    """Path and content of each entry."""

    def read(content: Content) -> bytes:
        return b"".join(content.pieces())

    return [(entry.path, read(content)) for entry, content in read_entries(io.BytesIO(tar))]


def unpack(where: Path, tar: bytes, *lowers: Path, name: str = "snapshot", compress: bool = False) -> Path:
    """Unpack a layer over `lowers` (uppermost first) into `where/name`."""
    where.mkdir(exist_ok=True)
    blob = where / f"{name}.blob"
    blob.write_bytes(gzip.compress(tar) if compress else tar)
    media_type = MEDIA_LAYER_GZIP if compress else MEDIA_LAYER
    texts = tuple(str(each) for each in lowers)
    unpack_layer(str(blob), media_type, DiffId.of(tar), texts, str(where / name), str(where / f"{name}.index"))
    return where / name


def listing(root: Path) -> dict[str, str]:
    """What is below `root`, in a word each: content, `-> target`, `dir`, `dir opaque`, `gone` (a whiteout), `fifo`."""
    found: dict[str, str] = {}
    for where, directories, files in os.walk(root):
        for name in directories + files:
            path = Path(where, name)
            found[str(path.relative_to(root))] = _word(path, path.lstat())
    return dict(sorted(found.items()))


def _word(path: Path, status: os.stat_result) -> str:
    if path.is_symlink():
        return f"-> {os.readlink(path)}"
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        return "gone"
    if stat.S_ISFIFO(status.st_mode):
        return "fifo"
    if path.is_dir():
        opaque = "user.overlay.opaque" in os.listxattr(path)
        return "dir opaque" if opaque else "dir"
    return path.read_text(errors="backslashreplace")
