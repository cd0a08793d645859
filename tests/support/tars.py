"""Tars made from the entries of the conformance data: contexts' archives and the layers of the bases."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any

import zstandard

Row = Mapping[str, Any]


def content_of(entry: Row | str | None) -> bytes:
    """The bytes of a context entry."""
    if entry is None:
        return b""
    if isinstance(entry, str):
        return entry.encode()
    if "content_b64" in entry:
        return base64.b64decode(entry["content_b64"])
    if "repeat" in entry:
        text, times = entry["repeat"]
        return str(text).encode() * int(times)
    if "tar" in entry:
        return compressed(archive(entry["tar"]), entry.get("compress"))
    return str(entry.get("content", "")).encode()


def compressed(data: bytes, how: str | None) -> bytes:
    """The data as this kind of compressed file."""
    match how:
        case "gzip":
            return gzip.compress(data, mtime=0)
        case "bzip2":
            return bz2.compress(data)
        case "xz":
            return lzma.compress(data)
        case "zstd":
            return zstandard.compress(data)
        case _:
            return data


def archive(members: Mapping[str, Any]) -> bytes:
    """A tar with these members, in the order and under the names given."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, entry in members.items():
            row: Row = entry if isinstance(entry, Mapping) else {}
            info = tarfile.TarInfo(name.rstrip("/"))
            info.mtime = row.get("mtime", 1600000000)
            info.uid, info.gid = row.get("uid", 0), row.get("gid", 0)
            data = b""
            if name.endswith("/") or row.get("dir"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif "symlink" in row:
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, row["symlink"], 0o777
            elif "hardlink" in row:
                info.type, info.linkname = tarfile.LNKTYPE, row["hardlink"]
            else:
                data = content_of(entry)
                info.size, info.mode = len(data), 0o644
            if "mode" in row:
                info.mode = int(row["mode"], 8)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def layer(entries: Iterable[Row]) -> bytes:
    """A layer's tar from rows as bases.json has them."""
    out = io.BytesIO()
    types = {"dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE, "fifo": tarfile.FIFOTYPE}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for row in entries:
            info = tarfile.TarInfo(row["path"])
            info.type = types.get(row["type"], tarfile.REGTYPE)
            info.mode = int(row.get("mode", "0777"), 8)
            info.uid, info.gid = row.get("uid", 0), row.get("gid", 0)
            info.mtime = 1700000000
            info.linkname = row.get("to", "")
            data = row["data"] if "data" in row else str(row.get("content", "")).encode()
            info.pax_headers = {
                f"SCHILY.xattr.{name}": bytes.fromhex(value).decode("utf-8", "surrogateescape")
                for name, value in row.get("xattrs", {}).items()
            }
            info.size = len(data) if row["type"] == "file" else 0
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()
