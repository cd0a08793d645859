"""Spreading an archive out as an ordinary user's files: a build context that came as a tar. Nothing is run or verified.

As with a layer, nothing is put outside of the directory and devices are left out. Owners and attributes are not kept,
which a context's files do not have in a layer either; what nobody could read, its owner can.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from builder.errors import ImageError
from builder.tree.attributes import Owners
from builder.tree.compress import SNIFF_BYTES, decompressor, sniff
from builder.tree.measured import Measured
from builder.tree.place import Placer
from builder.tree.safe import shown
from builder.tree.tarformat import read_entries
from builder.values.entry import Entry, Kind
from builder.values.image import MEDIA_LAYER

_READABLE = {Kind.DIR: 0o700, Kind.FILE: 0o400}
_BLOCK = 512


def is_archive(raw: BinaryIO) -> bool:
    """Whether a file begins like a tar, plain or compressed. It is left at its beginning."""
    first = raw.read(max(SNIFF_BYTES, _BLOCK))
    raw.seek(0)
    if sniff(first) != MEDIA_LAYER:
        return True
    return is_tar_header(first[:_BLOCK]) or (len(first) >= _BLOCK and not any(first[:_BLOCK]))


def is_tar_header(block: bytes) -> bool:
    """Whether this is a tar's first block: its checksum holds. Source: POSIX pax, ustar header block."""
    if len(block) < _BLOCK or not any(block):
        return False
    try:
        expected = int(block[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    return expected == sum(block[:148]) + 8 * ord(" ") + sum(block[156:])


def spread(raw: BinaryIO, target: str) -> int:
    """Put the entries of the archive in the file `raw` into the new directory `target`; how many there were.

    Raises ImageError for one that is damaged, hostile or too large, OSError as the file system gives it.
    """
    media_type = sniff(raw.read(SNIFF_BYTES))
    raw.seek(0)
    stream = Measured(decompressor(media_type, raw), os.fstat(raw.fileno()).st_size)
    umask = os.umask(0)  # what is made has just the modes it is given
    try:
        os.mkdir(target, 0o755)
        fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            with Placer(fd, (), _Ours((os.geteuid(), os.getegid()), False)) as placer:
                count = _place_all(placer, stream)
                placer.finish()
                return count
        finally:
            os.close(fd)
    finally:
        os.umask(umask)


class _Ours(Owners):
    """Everything stays with whoever makes it."""

    __slots__ = ()

    def differ(self, entry: Entry) -> bool:  # noqa: ARG002  whatever it says
        return False


def _place_all(placer: Placer, stream: Measured) -> int:
    count = 0
    for entry, content in read_entries(stream):
        if entry.kind in (Kind.WHITEOUT, Kind.OPAQUE):
            continue  # a name that means something in layers only
        try:
            placer.place(_ordinary(entry), content)
        except OSError as error:
            raise ImageError(f"{shown(entry.path) or '/'} cannot be unpacked: {error.strerror}") from error
        count += 1
    return count


def _ordinary(entry: Entry) -> Entry:
    return entry._replace(xattrs=(), mode=entry.mode | _READABLE.get(entry.kind, 0))
