"""Layers put together by hand, and what must come of a build on them. Each is a function of the absolute path of a
directory outside that holds a canary; what comes of it is the tar of a layer that lies on a small busybox base.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from tests.hostile.outcomes import Outcome, Refused
from tests.tree import rawtar
from tests.tree.rawtar import DIR, END, FILE, LINK, SYMLINK, padded, pax

Make = Callable[[bytes], bytes]
UP = b"../" * 24
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class LayerCase:
    """A layer's tar, and what must come of a build on it."""

    name: str
    make: Make
    outcome: Outcome


def head(name: bytes, flag: bytes = FILE, **fields: object) -> bytes:
    """A header that belongs to root."""
    return rawtar.header(name, flag, **{"uid": 0, "gid": 0, **fields})  # type: ignore[arg-type]


def file(name: bytes, data: bytes = b"evil", mode: int = 0o644) -> bytes:
    """A regular file of root's."""
    return head(name, size=len(data), mode=mode) + padded(data)


def folder(name: bytes, mode: int = 0o755) -> bytes:
    """A directory of root's."""
    return head(name, DIR, mode=mode)


def link(name: bytes, target: bytes) -> bytes:
    """A symlink; a target too long for the header goes into a PAX record."""
    before = pax([(b"linkpath", target)]) if len(target) > 100 else b""
    return before + head(name, SYMLINK, link=target[:100], mode=0o777)


def hard(name: bytes, target: bytes) -> bytes:
    """A hard link; as `link`."""
    before = pax([(b"linkpath", target)]) if len(target) > 100 else b""
    return before + head(name, LINK, link=target[:100])


def long_file(name: bytes, data: bytes = b"evil") -> bytes:
    """A file with any name, by PAX."""
    return pax([(b"path", name)]) + file(b"short", data)


def attribute(name: bytes, value: bytes, of: bytes = b"f") -> bytes:
    """A file with an extended attribute."""
    return pax([(b"SCHILY.xattr." + name, value)]) + file(of)


def tar(*parts: bytes) -> Make:
    """These parts and an end."""
    return lambda _: b"".join(parts) + END


def out(*parts: Callable[[bytes], bytes]) -> Make:
    """Parts that are told where outside is."""
    return lambda outside: b"".join(part(outside) for part in parts) + END


def sized(flag: bytes, size: int | bytes) -> bytes:
    """A header of this type that says it has content."""
    return head(b"f", flag, size=size, link=b"x")


def base256(value: int) -> bytes:
    """A number as GNU writes large ones."""
    return struct.pack(">BxxxQ", 0x80, value)


BAD = Refused("")
"""Any clear refusal will do: the words are the unit tests' business."""
