"""A tar file as a table of its members, for archives of images: any member can be read, in any order, from any thread.

One pass finds the members (a compressed archive is decompressed into a temporary file on the way). Nothing is
unpacked, so the members' names never become paths of the host.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from builder.declare import dataclass
from builder.errors import ImageError
from builder.oci.document import most_bytes, too_large
from builder.oci.scratch import Temporary, owned_descriptor, owned_file
from builder.oci.verify import CHUNK_BYTES, new_file, open_regular
from builder.tree.compress import SNIFF_BYTES, decompressor, sniff
from builder.tree.tarformat import read_entries
from builder.values.entry import Kind
from builder.values.image import MEDIA_LAYER

_MAX_MEMBERS = 100_000
_MAX_LINKS = 8


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member's content lies in the (uncompressed) archive, in bytes."""

    name: str
    offset: int
    size: int


class Members:
    """The members of the tar file at `path`, which messages call `what`. Raises ImageError when it is none."""

    def __init__(self, path: Path, what: str, temporary: Temporary | None) -> None:
        self._what = what
        self._files: dict[bytes, Member] = {}
        self._links: dict[bytes, bytes] = {}
        with open_regular(path, what) as file:
            media_type = sniff(file.read(SNIFF_BYTES))
            file.seek(0)
            self._fd = owned_descriptor(self, self._plain(file, media_type, temporary))
        with os.fdopen(os.dup(self._fd), "rb", buffering=0) as plain:
            plain.seek(0)
            self._find_members(plain)

    def _plain(self, file: BinaryIO, media_type: str, temporary: Temporary | None) -> int:
        """A descriptor of the uncompressed archive."""
        if media_type == MEDIA_LAYER:
            return os.dup(file.fileno())
        spool = owned_file(self, temporary)
        with new_file(spool) as out, decompressor(media_type, file) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                out.write(chunk)
        fd = os.open(spool, os.O_RDONLY | os.O_CLOEXEC)
        os.unlink(spool)  # the descriptor keeps it; a killed process leaves nothing
        return fd

    def _find_members(self, plain: BinaryIO) -> None:
        try:
            for number, (entry, _) in enumerate(read_entries(plain)):
                if number >= _MAX_MEMBERS:
                    raise ImageError(f"more than {_MAX_MEMBERS} members")
                if entry.kind is Kind.FILE:
                    self._files[entry.path] = Member(os.fsdecode(entry.path), entry.offset, entry.size)
                elif entry.kind is Kind.SYMLINK:
                    self._links[entry.path] = posixpath.normpath(
                        posixpath.join(posixpath.dirname(entry.path), entry.link)
                    )
                elif entry.kind is Kind.HARDLINK:
                    self._links[entry.path] = entry.link
        except ImageError as error:
            raise ImageError(f"{self._what} cannot be read: {error.message}", hint=error.hint) from error

    def find(self, name: str) -> Member | None:
        """The member of this name, or None. Links inside the archive are followed (old `docker save` writes them)."""
        at = os.fsencode(posixpath.normpath(name).lstrip("/"))
        for _ in range(_MAX_LINKS):
            if at in self._files:
                return self._files[at]
            if at not in self._links:
                return None
            at = self._links[at]
        return None

    def get(self, name: str) -> Member:
        """The member of this name. Raises ImageError when it is missing."""
        member = self.find(name)
        if member is None:
            raise ImageError(f"{self._what} is incomplete: {name[:200]!r} is not in it")
        return member

    def chunks(self, member: Member) -> Iterator[bytes]:
        """The content of a member in pieces; fewer bytes come when the archive was cut short meanwhile."""
        at, end = member.offset, member.offset + member.size
        while at < end:
            chunk = os.pread(self._fd, min(CHUNK_BYTES, end - at), at)
            if not chunk:
                return
            at += len(chunk)
            yield chunk

    def first_bytes(self, member: Member, count: int) -> bytes:
        """The beginning of a member's content."""
        return os.pread(self._fd, min(count, member.size), member.offset)

    def document(self, name: str) -> bytes:
        """A small member's content. Raises ImageError when it is missing or too large."""
        member = self.get(name)
        if member.size > most_bytes():
            raise too_large(f"{self._what}: {name}", member.size)
        return b"".join(self.chunks(member))
