"""Entries as tar headers: ustar where it fits, PAX records before it where not. Bytes depend on the entry alone.

Numbers only, no user or group names, no access or change times. A modification time keeps its fraction of a second (in
a PAX record, as a snapshot that becomes a lower layer has it too). Names are the bytes that they are, with no change of
encoding: that is what GNU tar, Go's archive/tar and Python's tarfile read back. Content and padding are pack's.
Sources: POSIX.1-2017, pax (ustar and pax interchange formats); OCI image-spec, layer.md (whiteouts).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from builder.errors import ImageError
from builder.values.entry import Entry, Kind

TAR_BLOCK_BYTES: Final = 512
END_OF_ARCHIVE: Final = bytes(2 * TAR_BLOCK_BYTES)
WHITEOUT_PREFIX: Final = b".wh."
OPAQUE_NAME: Final = b".wh..wh..opq"

_NS = 1_000_000_000
_MAX_ID = 0o7777777  # 2097151
_MAX_NUMBER = 0o77777777777  # 8 GiB less one, or the year 2242

_TYPE_FLAGS = {
    Kind.FILE: b"0",
    Kind.WHITEOUT: b"0",
    Kind.OPAQUE: b"0",
    Kind.HARDLINK: b"1",
    Kind.SYMLINK: b"2",
    Kind.CHAR: b"3",
    Kind.BLOCK: b"4",
    Kind.DIR: b"5",
    Kind.FIFO: b"6",
}
_TAIL = b"ustar\x0000" + bytes(64) + b"0000000\x000000000\x00"  # magic to devminor, as everything but a device has it
_TAIL_SUM = sum(_TAIL)
_CHECKSUM_SPACES = 8 * 32  # the checksum is taken over a field of spaces
_PAX_NAME = b"././@PaxHeader"


def header(entry: Entry) -> bytes:
    """All header blocks of an entry; its content, padded to blocks of 512 bytes, comes after them.

    Raises ImageError for what a layer cannot hold (an attribute name with `=`, a name that begins with `.wh.`),
    ValueError for what an entry must not be (a socket, a name with a NUL byte).
    """
    kind = entry.kind
    type_flag = _TYPE_FLAGS.get(kind)
    if type_flag is None:
        raise ValueError(f"an entry of kind {kind.name} cannot be in a layer")
    _check_names(entry.path, entry.link)
    if kind is Kind.WHITEOUT or kind is Kind.OPAQUE:
        entry = Entry(entry.path, kind, 0)
    name, link = tar_name(entry), entry.link
    seconds, fraction_ns = divmod(entry.mtime_ns, _NS)
    split = 0
    if len(name) > 100:
        split = _split_at(name)
    if (
        entry.xattrs
        or split < 0
        or len(link) > 100
        or not 0 <= seconds <= _MAX_NUMBER
        or entry.uid > _MAX_ID
        or entry.gid > _MAX_ID
        or entry.size > _MAX_NUMBER
    ):
        return _extended(entry, name, seconds, fraction_ns, type_flag)
    fields = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (entry.mode, entry.uid, entry.gid, entry.size, seconds)
    plain = _plain(name, link, split, type_flag, fields, entry.rdev)
    if fraction_ns:  # of most files this is all that does not fit
        body = _record(b"mtime", _decimal_seconds(entry.mtime_ns))
        return _pax_block(len(body)) + body.ljust(TAR_BLOCK_BYTES, b"\0") + plain
    return plain


def tar_name(entry: Entry) -> bytes:
    """The name of an entry in a tar: a directory's ends in `/`, a whiteout's has its prefix, the root's is `./`."""
    path, kind = entry.path, entry.kind
    if kind is Kind.DIR:
        return path + b"/" if path else b"./"
    if kind is Kind.WHITEOUT:
        parent, slash, name = path.rpartition(b"/")
        return parent + slash + WHITEOUT_PREFIX + name
    if kind is Kind.OPAQUE:
        return path + b"/" + OPAQUE_NAME if path else OPAQUE_NAME
    return path


def _check_names(name: bytes, link: bytes) -> None:
    if b"\0" in name or b"\0" in link:
        raise ValueError(f"a name holds a NUL byte: {name!r}")
    if WHITEOUT_PREFIX in name and (b"/" + name).find(b"/" + WHITEOUT_PREFIX) >= 0:
        raise ImageError(
            f"{name.decode('utf-8', 'backslashreplace')} cannot be in a layer",
            hint="a name that begins with .wh. means a removal there; rename it, or leave it out",
        )


def padding(size: int) -> bytes:
    """The zeros after a content of `size` bytes."""
    return bytes(-size % TAR_BLOCK_BYTES)


def _split_at(name: bytes) -> int:
    """Where to cut a name of more than 100 bytes into ustar's prefix and name; -1 where there is no such place."""
    at = name.find(b"/", len(name) - 101, min(156, len(name) - 1))
    return at if at > 0 else -1


def _plain(
    name: bytes, link: bytes, split: int, type_flag: bytes, fields: bytes, rdev: tuple[int, int] = (0, 0)
) -> bytes:
    """One ustar block. `fields` are mode, uid, gid, size and mtime; `split` is as `_split_at` gives it, or 0."""
    tail, tail_sum = _TAIL, _TAIL_SUM
    if rdev != (0, 0):
        tail = _TAIL[:72] + b"%07o\0%07o\0" % rdev
        tail_sum = sum(tail)
    prefix = b""
    if split > 0:
        prefix, name = name[:split], name[split + 1 :]
    checksum = sum(name) + sum(link) + sum(prefix) + sum(fields) + type_flag[0] + tail_sum + _CHECKSUM_SPACES
    return b"%b%b%06o\0 %b%b%b%b" % (
        name.ljust(100, b"\0"),
        fields,
        checksum,
        type_flag,
        link.ljust(100, b"\0"),
        tail,
        prefix.ljust(167, b"\0"),
    )


def _extended(entry: Entry, name: bytes, seconds: int, fraction_ns: int, type_flag: bytes) -> bytes:
    """The PAX header and the ustar block after it, whose fields hold what fits in them, else 0 or the first bytes."""
    records: list[tuple[bytes, bytes]] = []
    split = _split_at(name) if len(name) > 100 else 0
    if split < 0:
        records.append((b"path", name))
        name, split = name[:100], 0
    link = entry.link
    if len(link) > 100:
        records.append((b"linkpath", link))
        link = link[:100]
    if fraction_ns or not 0 <= seconds <= _MAX_NUMBER:
        records.append((b"mtime", _decimal_seconds(entry.mtime_ns)))
        seconds = seconds if 0 <= seconds <= _MAX_NUMBER else 0
    numbers = []
    for key, value, limit in (
        (b"uid", entry.uid, _MAX_ID),
        (b"gid", entry.gid, _MAX_ID),
        (b"size", entry.size, _MAX_NUMBER),
    ):
        if value > limit:
            records.append((key, b"%d" % value))
        numbers.append(value if value <= limit else 0)
    records += [(b"SCHILY.xattr." + _xattr_key(key, entry), value) for key, value in entry.xattrs]
    body = b"".join([_record(key, value) for key, value in sorted(records)])
    fields = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (entry.mode, *numbers, seconds)
    return _pax_block(len(body)) + body + padding(len(body)) + _plain(name, link, split, type_flag, fields, entry.rdev)


@lru_cache(maxsize=64)
def _pax_block(size: int) -> bytes:
    """The block before PAX records of so many bytes."""
    fields = b"0000644\x000000000\x000000000\0%011o\x0000000000000\0" % size
    return _plain(_PAX_NAME, b"", 0, b"x", fields)


def _xattr_key(key: str, entry: Entry) -> bytes:
    if "=" in key:  # no reader but GNU tar's own could tell where the name ends
        raise ImageError(f"the attribute {key!r} of {entry.path!r} cannot be in a layer: its name has a '='")
    return key.encode("utf-8", "surrogateescape")


def _record(key: bytes, value: bytes) -> bytes:
    """A PAX record, which begins with its own length in bytes, that number's digits included."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


def _decimal_seconds(time_ns: int) -> bytes:
    """A time in seconds as a decimal number, shortest form: 1.5, -0.25, -3."""
    whole, fraction_ns = divmod(abs(time_ns), _NS)
    text = b"%d.%09d" % (whole, fraction_ns) if fraction_ns else b"%d" % whole
    return (b"-" if time_ns < 0 else b"") + (text.rstrip(b"0") if fraction_ns else text)
