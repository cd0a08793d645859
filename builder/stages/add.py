"""Add: what ADD can and COPY cannot: archives that are unpacked into the layer, and files fetched by URL.

An archive's entries go straight into the new layer's tar; nothing is unpacked on the host. Its names are resolved
like any destination: links of the image are followed inside the image, `..` stops at the root.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from builder.declare import dataclass
from builder.errors import BuildfileError, ContextError, ImageError
from builder.pattern import pattern
from builder.stages.hands import Hands
from builder.stages.place import Placement
from builder.tree import bounds
from builder.tree.compress import SNIFF_BYTES, decompressor, sniff
from builder.tree.safe import shown
from builder.tree.tarformat import read_entries
from builder.values.digest import Digest
from builder.values.entry import Entry, Kind
from builder.values.image import MEDIA_LAYER
from builder.values.key import Plain
from builder.values.limits import raised_by
from builder.values.step import CopyStep

_BLOCK = 1 << 20
_CHECKSUM = pattern(r"sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Download:
    """A fetched file: where it lies, what it is called, and what the server said of its age."""

    url: str
    path: Path
    name: str
    size: int
    digest: Digest
    modified_s: int | None

    def facts(self) -> Plain:
        """What decides the layer's content."""
        return ["download", self.name, str(self.digest)]

    def entry(self, made_mtime_ns: int) -> Entry:
        """The file as ADD makes it: only its owner can read it, as docker has always done."""
        mtime_ns = made_mtime_ns if self.modified_s is None else self.modified_s * 1_000_000_000
        return Entry(b"", Kind.FILE, 0o600, size=self.size, mtime_ns=mtime_ns)

    def open(self) -> int:
        """A descriptor of the content."""
        return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)


@dataclass(frozen=True, slots=True)
class Promised:
    """A file whose digest the Buildfile says: it is only fetched where no earlier build has placed it."""

    url: str
    name: str
    digest: Digest

    def facts(self) -> Plain:
        """What decides the layer's content; the same as of the file once it is fetched."""
        return ["download", self.name, str(self.digest)]


def ask_for(url: str, step: CopyStep, hands: Hands) -> Download | Promised:
    """What a URL of ADD gives, fetched unless its checksum is known. Raises ContextError at the step's place."""
    if step.checksum is None:
        return _fetched(url, None, step, hands)
    if not _CHECKSUM.match(step.checksum):
        raise BuildfileError(
            f"ADD --checksum={step.checksum[:100]}: unsupported checksum format",
            span=step.span,
            hint="write sha256: and 64 hexadecimal digits",
        )
    from builder.oci.fetch import name_of

    return Promised(url, name_of(url), Digest.parse(step.checksum))


def arrived(wanted: Download | Promised, step: CopyStep, hands: Hands) -> Download:
    """The file itself, fetched now if it was only promised. Raises ContextError at the step's place."""
    return wanted if isinstance(wanted, Download) else _fetched(wanted.url, wanted.digest, step, hands)


def _fetched(url: str, expected: Digest | None, step: CopyStep, hands: Hands) -> Download:
    from builder.oci.fetch import Web, fetch_url

    into = hands.store.blobs.temporary()
    try:
        fetched = fetch_url(url, into, expected, Web(dict(hands.request.proxies), trust=hands.request.access.trust))
    except ContextError as error:
        raise error.at(step.span) from None
    return Download(url, into, fetched.name, fetched.size, fetched.digest, fetched.last_modified_s)


class Archive:
    """A tar at hand: its uncompressed bytes in a file without a name, and its entries with their offsets there."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.entries: tuple[Entry, ...] = ()

    def read(self) -> None:
        """Read the entries. Raises ImageError for what is damaged or hostile."""
        with open(self.fd, "rb", closefd=False) as tar:
            tar.seek(0)
            self.entries = tuple(entry for entry, _ in read_entries(tar))

    def opener(self, entry: Entry) -> Callable[[], int]:
        """A function that opens the content of a file of the archive; the archive lives as long as it does."""

        def open_content() -> int:
            # A descriptor of its own: a duplicate would share its position with the others.
            fd = os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC)
            os.lseek(fd, entry.offset, os.SEEK_SET)
            return fd

        return open_content

    def __del__(self) -> None:
        os.close(self.fd)


def archive_of(name: str, open_content: Callable[[], int], hands: Hands) -> Archive | None:
    """The file as an archive, or None where it is not a tar (compressed or not).

    A file that begins as an archive is one: where it then proves to be damaged, cut short or hostile this raises
    ContextError with the file's `name`.
    """
    with os.fdopen(open_content(), "rb", buffering=_BLOCK) as raw:
        start = raw.tell()
        media_type = sniff(raw.read(SNIFF_BYTES))
        raw.seek(start)
        stream = raw if media_type == MEDIA_LAYER else decompressor(media_type, raw)
        try:
            first = _read_up_to(stream, 512)
        except ImageError:
            return None  # only looks compressed: such a file is copied as it is
        if not _is_tar_header(first):
            return None
        try:
            archive = Archive(_spool(first, stream, hands.store.blobs.temporary()))
            archive.read()
        except ImageError as error:
            raise ContextError(f"ADD cannot unpack {name}: {error.message}", hint=error.hint) from error
    return archive


def _is_tar_header(block: bytes) -> bool:
    """Whether this is a tar's first block: its checksum holds. Source: POSIX pax, ustar header block."""
    if len(block) < 512 or not any(block):
        return False
    try:
        expected = int(block[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    return expected == sum(block[:148]) + 8 * 32 + sum(block[156:])


def _read_up_to(stream: BinaryIO, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = stream.read(count - len(data))
        if not piece:
            break
        data += piece
    return data


def _spool(first: bytes, stream: BinaryIO, path: Path) -> int:
    """The whole uncompressed archive in a file without a name. Raises ContextError past the limit."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    total = 0
    piece = first
    with os.fdopen(os.dup(fd), "wb") as out:
        while piece:
            total += len(piece)
            if total > (most := bounds.limits().layer_bytes):
                raise ContextError(f"the archive holds more than {most} bytes", hint=raised_by("layer"))
            out.write(piece)
            piece = stream.read(_BLOCK)
    return fd


def place_archive(archive: Archive, destination: bytes, placement: Placement) -> None:
    """Put an archive's entries below the destination; a later entry of the same name replaces the earlier one.

    As tar and docker have it: links on the way to an entry are followed, inside the image; one that stands in the
    entry's own place is replaced, even by a directory. Only a directory on a directory joins it.
    """
    placement.make_parents(destination)
    placement.make_directory(destination)
    names: dict[bytes, bytes] = {}  # where an entry's own name led to, for hard links
    for entry in archive.entries:
        if not entry.path or entry.kind in (Kind.WHITEOUT, Kind.OPAQUE, Kind.CHAR, Kind.BLOCK):
            # The destination is there already; names that only mean something between layers, and devices, are not
            # for a step to make.
            continue
        path = placement.resolve(destination + b"/" + entry.path, follow_last=False)
        names[entry.path] = path
        placement.make_parents(path)
        if entry.kind is Kind.HARDLINK:
            _place_hard_link(entry, names, path, placement)
            continue
        _make_way(path, entry.kind, placement)
        if entry.kind is Kind.DIR:
            placement.put_directory(path, entry)
        else:
            content = archive.opener(entry) if entry.kind is Kind.FILE else None
            placement.put_file(path, entry._replace(offset=-1), content, (archive.fd, entry.offset))


def _make_way(path: bytes, kind: Kind, placement: Placement) -> None:
    """Take away what cannot stay where an entry of this kind goes: the entry is then the whole truth about its path."""
    old = placement.look(path)
    if old is None or (old.kind is Kind.DIR) == (kind is Kind.DIR):
        return
    placement.remove(path)
    if placement.look(path) is not None:  # of a layer below
        placement.hide(path)


def _place_hard_link(entry: Entry, names: dict[bytes, bytes], path: bytes, placement: Placement) -> None:
    target = names.get(entry.link)
    item = None if target is None else placement.items.get(target)
    if target is None or item is None or item.entry.kind is Kind.DIR:
        raise ContextError(f"the archive has a hard link to {shown(entry.link)}, and no such file is in it before")
    if target == path:
        return
    _make_way(path, Kind.FILE, placement)
    placement.put_file(path, item.entry, item.content, placement.same.get(target))
