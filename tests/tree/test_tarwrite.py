"""Tar headers, read back by Python's tarfile, GNU tar and our own reader."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import example, given

from builder.errors import ImageError
from builder.tree.tarformat import read_entries
from builder.tree.tarwrite import END_OF_ARCHIVE, header, padding, tar_name
from builder.values.entry import Entry, Kind
from tests.tree.entries import NS, entries

FILE = Entry(b"f", Kind.FILE)


def tar_of(*some: Entry) -> bytes:
    return b"".join(map(header, some)) + END_OF_ARCHIVE


def members(*some: Entry) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar_of(*some)), errors="surrogateescape") as archive:
        return archive.getmembers()


@given(entries)
@example((Entry(b"", Kind.DIR, 0o700),))
def test_law_our_reader(some: tuple[Entry, ...]) -> None:
    """Entries become a tar and the tar the same entries."""
    got = [entry._replace(offset=-1) for entry, _ in read_entries(io.BytesIO(tar_of(*some)))]
    assert got == list(some)


@given(entries)
def test_law_tarfile(some: tuple[Entry, ...]) -> None:
    """Python's tarfile reads the same names, kinds, numbers, links and attributes."""
    for entry, member in zip(some, members(*some), strict=True):
        assert os.fsencode(member.name) == tar_name(entry).rstrip(b"/")
        if entry.kind in (Kind.WHITEOUT, Kind.OPAQUE):
            assert (member.size, member.mode, member.isreg()) == (0, 0, True)
            continue
        assert (member.mode, member.uid, member.gid) == (entry.mode, entry.uid, entry.gid)
        assert os.fsencode(member.linkname) == (entry.link.rstrip(b"/") if entry.kind is Kind.HARDLINK else entry.link)
        assert member.mtime == pytest.approx(entry.mtime_ns / NS)
        found = {
            key.removeprefix("SCHILY.xattr."): os.fsencode(value)
            for key, value in member.pax_headers.items()
            if key.startswith("SCHILY.xattr.")
        }
        assert found == dict(entry.xattrs)


def test_gnu_tar(tmp_path: Path) -> None:
    """GNU tar lists what was written, with no complaint, and whole seconds need no PAX header."""
    some = [
        Entry(b"", Kind.DIR, 0o755),
        Entry(b"d" * 90 + b"/" + b"f" * 90, Kind.FILE, 0o4755, 1, 2, 0, 1_000_000_000 * NS),
        Entry(b"l" * 255, Kind.SYMLINK, 0o777, 3, 4, 0, 5 * NS // 2, b"t" * 200),
        Entry(b"h", Kind.HARDLINK, 0o4755, 3, 3_000_000, 0, 0, b"d" * 90 + b"/" + b"f" * 90),
        Entry(b"p\xff", Kind.FIFO, 0o600, xattrs=(("user.a", b"\0\n"),)),
        Entry(b"gone/x", Kind.WHITEOUT),
    ]
    path = tmp_path / "t.tar"
    path.write_bytes(tar_of(*some))
    done = subprocess.run(
        ["tar", "-tvf", path, "--numeric-owner", "--full-time", "--quoting-style=escape"],
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split(maxsplit=5) for line in done.stdout.splitlines()]
    assert done.stderr == ""
    assert [(line[0], line[1], line[4], line[5]) for line in lines] == [
        ("drwxr-xr-x", "0/0", "00:00:00", "./"),
        ("-rwsr-xr-x", "1/2", "01:46:40", "d" * 90 + "/" + "f" * 90),
        ("lrwxrwxrwx", "3/4", "00:00:02.5", "l" * 255 + " -> " + "t" * 200),
        ("hrwsr-xr-x", "3/3000000", "00:00:00", "h link to " + "d" * 90 + "/" + "f" * 90),
        ("prw-------", "0/0", "00:00:00", "p\\377"),
        ("----------", "0/0", "00:00:00", "gone/.wh.x"),
    ]
    assert len(header(some[1])) == 512


@pytest.mark.parametrize(
    ("entry", "records"),
    [
        (FILE, {}),
        (FILE._replace(mtime_ns=1_500_000_000), {"mtime": "1.5"}),
        (FILE._replace(mtime_ns=1_000_000_001), {"mtime": "1.000000001"}),
        (FILE._replace(mtime_ns=-250_000_000), {"mtime": "-0.25"}),
        (FILE._replace(mtime_ns=-10 * NS), {"mtime": "-10"}),
        (FILE._replace(mtime_ns=8**11 * NS), {"mtime": "8589934592"}),
        (FILE._replace(mtime_ns=8**11 * NS - NS), {}),
        (FILE._replace(size=8**11 - 1), {}),
        (FILE._replace(size=8**11), {"size": "8589934592"}),
        (FILE._replace(uid=2097151, gid=2097152), {"gid": "2097152"}),
        (FILE._replace(path=b"x" * 100), {}),
        (FILE._replace(path=b"x" * 101), {"path": "x" * 101}),
        (FILE._replace(path=b"p" * 155 + b"/" + b"x" * 100), {}),
        (FILE._replace(path=b"p" * 156 + b"/" + b"x" * 100), {"path": "p" * 156 + "/" + "x" * 100}),
        (Entry(b"p" * 60 + b"/" + b"x" * 99, Kind.DIR), {}),
        (Entry(b"x" * 100, Kind.DIR), {"path": "x" * 100 + "/"}),
        (Entry(b"l", Kind.SYMLINK, link=b"t" * 100), {}),
        (Entry(b"l", Kind.SYMLINK, link=b"t" * 101), {"linkpath": "t" * 101}),
        (
            FILE._replace(xattrs=(("user.a", b"1"), ("user.b", b"\n"))),
            {"SCHILY.xattr.user.a": "1", "SCHILY.xattr.user.b": "\n"},
        ),
    ],
)
def test_pax_records_only_where_needed(entry: Entry, records: dict[str, str]) -> None:
    """There is a PAX header exactly where the plain one cannot say it, and it says only that."""
    block = header(entry)
    assert len(block) == (512 if not records else 1536)
    found: dict[str, str] = {}
    if records:
        size = int(block[124:135], 8)
        text = block[512 : 512 + size]
        while text:
            length = int(text.split(b" ", 1)[0])
            key, _, value = text[:length].split(b" ", 1)[1][:-1].partition(b"=")
            found[key.decode()] = value.decode()
            text = text[length:]
    assert found == records


@pytest.mark.parametrize("length", range(80, 120))
def test_record_counts_its_own_digits(length: int) -> None:
    """A record's length is right also where counting its digits makes it longer."""
    entry = FILE._replace(xattrs=(("user.a", b"v" * length),))
    assert members(entry)[0].pax_headers["SCHILY.xattr.user.a"] == "v" * length


def test_records_are_sorted() -> None:
    """The order of records is their keys', whatever the order of the attributes."""
    one = FILE._replace(mtime_ns=1, xattrs=(("user.b", b"2"), ("user.a", b"1")))
    assert header(one) == header(one._replace(xattrs=one.xattrs[::-1]))


def test_whiteouts_say_nothing_else() -> None:
    """A whiteout's header depends on its name alone."""
    entry = Entry(b"d/x", Kind.WHITEOUT, 0o644, 5, 5, 0, 12345)
    assert header(entry) == header(Entry(b"d/x", Kind.WHITEOUT))
    assert tar_name(entry) == b"d/.wh.x"
    assert tar_name(Entry(b"d", Kind.OPAQUE)) == b"d/.wh..wh..opq"
    assert tar_name(Entry(b"", Kind.OPAQUE)) == b".wh..wh..opq"


@pytest.mark.parametrize("path", [b".wh.x", b"d/.wh.x", b".wh..wh..opq", b".wh.d/x"])
def test_whiteout_like_names_are_refused(path: bytes) -> None:
    """A file whose name would be read as a whiteout is an error, not a removal."""
    with pytest.raises(ImageError, match="cannot be in a layer"):
        header(FILE._replace(path=path))


@pytest.mark.parametrize("path", [b".whatever", b"x.wh.y", b"d/.w"])
def test_names_that_are_only_similar(path: bytes) -> None:
    """Names that only look a little like whiteouts are fine."""
    assert members(FILE._replace(path=path))[0].name == path.decode()


def test_long_whiteout() -> None:
    """A whiteout of a long name has the long name in a PAX record."""
    assert members(Entry(b"x" * 250, Kind.WHITEOUT))[0].name == ".wh." + "x" * 250


def test_refused() -> None:
    """What no tar can hold is an error."""
    with pytest.raises(ImageError, match="="):
        header(FILE._replace(xattrs=(("user.a=b", b""),)))
    with pytest.raises(ValueError, match="SOCKET"):
        header(Entry(b"s", Kind.SOCKET))
    with pytest.raises(ValueError, match="NUL"):
        header(FILE._replace(path=b"a\0b"))


def test_padding() -> None:
    """Content is filled up to whole blocks."""
    assert [len(padding(size)) for size in (0, 1, 511, 512, 513)] == [0, 511, 1, 0, 511]
