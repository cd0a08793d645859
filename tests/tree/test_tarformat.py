"""Tars read as entries: every dialect that is about, and every way to be hostile or damaged."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import ImageError
from builder.tree.tarformat import clean_path, read_entries
from builder.tree.tarwrite import END_OF_ARCHIVE
from builder.tree.tarwrite import header as written
from builder.values.entry import Entry, Kind
from tests.tree import entries as strategies
from tests.tree.rawtar import (
    BLOCK,
    CHAR,
    DIR,
    END,
    FIFO,
    LINK,
    contents,
    directory,
    entries,
    file,
    gnu_long,
    hard_link,
    header,
    padded,
    pax,
    symlink,
)

LONG = b"/".join([b"n" * 200] * 3)


def refused(tar: bytes) -> str:
    """The message with which a tar is refused."""
    with pytest.raises(ImageError) as caught:
        contents(tar)
    return caught.value.message


@given(strategies.entries)
def test_reads_what_we_write(found: tuple[Entry, ...]) -> None:
    """Every entry that our own writer can write is read back as it was."""
    read = entries(b"".join(map(written, found)) + END_OF_ARCHIVE)
    assert [each._replace(offset=-1) for each in read] == list(found)


@given(st.lists(st.binary(max_size=3000), max_size=8), st.integers(1, 700))
def test_contents_and_offsets(blobs: list[bytes], piece: int) -> None:
    """Contents come out whole however the stream is cut, and the offset says where each one is."""
    tar = b"".join(file(b"f%d" % number, blob) for number, blob in enumerate(blobs)) + END

    class Dribble(io.BytesIO):
        def read(self, _: int | None = -1, /) -> bytes:
            return super().read(piece)

    for (entry, content), blob in zip(read_entries(Dribble(tar)), blobs, strict=True):
        assert b"".join(content.pieces()) == blob
        assert tar[entry.offset : entry.offset + entry.size] == blob


def test_unread_content_is_skipped() -> None:
    """A content may be left unread, read in part, or asked for twice; the next entry is found all the same."""
    stream = read_entries(io.BytesIO(file(b"a", b"1" * 700) + file(b"b", b"2" * 700) + file(b"c", b"333") + END))
    assert next(stream)[0].path == b"a"
    entry, content = next(stream)
    assert (entry.path, content.read(3)) == (b"b", b"222")
    entry, content = next(stream)
    assert (content.read(), content.read(), list(content.pieces())) == (b"333", b"", [])
    assert list(stream) == []


def test_every_kind() -> None:
    """Each type of entry has its kind, with what belongs to it."""
    tar = (
        file(b"f", b"x", 0o4755) + directory(b"d/") + symlink(b"l", b"../t/") + hard_link(b"h", b"./f")
        + header(b"p", FIFO) + header(b"c", CHAR, rdev=(1, 3)) + header(b"b", BLOCK, rdev=(8, 1))
        + header(b"7", b"7", size=0) + END
    )  # fmt: skip
    rows = [(each.path, each.kind.name, each.link, each.rdev) for each in entries(tar)]
    assert rows == [
        (b"f", "FILE", b"", (0, 0)),
        (b"d", "DIR", b"", (0, 0)),
        (b"l", "SYMLINK", b"../t/", (0, 0)),
        (b"h", "HARDLINK", b"f", (0, 0)),
        (b"p", "FIFO", b"", (0, 0)),
        (b"c", "CHAR", b"", (1, 3)),
        (b"b", "BLOCK", b"", (8, 1)),
        (b"7", "FILE", b"", (0, 0)),
    ]
    assert entries(tar)[0].mode == 0o4755


@pytest.mark.parametrize("kind", ["--format=gnu", "--format=pax", "--format=ustar", "--format=v7", "--format=oldgnu"])
def test_gnu_tar(tmp_path: Path, kind: str) -> None:
    """What GNU tar writes in each of its formats is read."""
    name = "n" * 90 if kind.endswith(("v7", "ustar")) else "n" * 200
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / name).write_text("content")
    (tmp_path / "d" / "link").symlink_to("t" * 90)
    done = subprocess.run(
        ["tar", kind, "--sort=name", "-cf", "-", "."], cwd=tmp_path, stdout=subprocess.PIPE, check=True
    )
    expected = [(b"", b""), (b"d", b""), (b"d/link", b""), (b"d/" + name.encode(), b"content")]
    assert contents(done.stdout) == expected


@pytest.mark.skipif(not shutil.which("bsdtar"), reason="bsdtar is not installed")
@pytest.mark.parametrize("kind", ["gnutar", "pax", "ustar", "v7"])
def test_bsdtar(tmp_path: Path, kind: str) -> None:
    """What libarchive writes in each of its formats is read."""
    (tmp_path / "a").write_text("content")
    done = subprocess.run(
        ["bsdtar", "--format", kind, "-cf", "-", "a"], cwd=tmp_path, stdout=subprocess.PIPE, check=True
    )
    assert contents(done.stdout) == [(b"a", b"content")]


@pytest.mark.parametrize("dialect", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_python_tarfile(dialect: int) -> None:
    """What Python's tarfile writes is read: prefix, long names, large ids."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=dialect) as tar:
        info = tarfile.TarInfo("p" * 120 + "/" + "n" * 90)
        info.size = 3
        info.uid = 1000 if dialect == tarfile.USTAR_FORMAT else 3_000_000
        tar.addfile(info, io.BytesIO(b"abc"))
    (entry,) = entries(out.getvalue())
    assert (entry.path, entry.uid) == (b"p" * 120 + b"/" + b"n" * 90, info.uid)


def test_names_without_utf8() -> None:
    """A name is bytes, in the header and in a PAX record alike."""
    assert [each.path for each in entries(file(b"\xff\xfe") + pax([(b"path", b"\xe4")]) + file(b"x") + END)] == [
        b"\xff\xfe",
        b"\xe4",
    ]


def test_gnu_long_name_and_link() -> None:
    """GNU's headers for long names and links count for the next entry only."""
    tar = gnu_long(LONG, b"L") + gnu_long(LONG, b"K") + symlink(b"short", b"short") + symlink(b"a", b"b") + END
    assert [(each.path, each.link) for each in entries(tar)] == [(LONG, LONG), (b"a", b"b")]


def test_pax_records() -> None:
    """PAX records override the header of the next entry only; an empty one does not."""
    records = [(b"path", LONG), (b"uid", b"70000"), (b"gid", b"4000000000"), (b"mtime", b"-1.5"),
               (b"SCHILY.xattr.user.a", b"\0\n="), (b"comment", b"x"), (b"linkpath", b"")]  # fmt: skip
    first, second = entries(pax(records) + file(b"f") + file(b"g") + END)
    assert first[:8] == (LONG, Kind.FILE, 0o644, 70000, 4_000_000_000, 0, -1_500_000_000, b"")
    assert first.xattrs == (("user.a", b"\0\n="),)
    assert (second.path, second.xattrs, second.mtime_ns) == (b"g", (), 1_600_000_000 * 10**9)


def test_global_header_is_ignored() -> None:
    """A global PAX header (git archive writes one) changes nothing, as in Docker."""
    tar = pax([(b"comment", b"0123"), (b"path", b"evil"), (b"size", b"5")], b"g") + file(b"f", b"x") + END
    assert contents(tar) == [(b"f", b"x")]


def test_volume_label_is_skipped() -> None:
    """GNU's volume label is no entry."""
    assert contents(header(b"label", b"V") + file(b"f") + END) == [(b"f", b"")]


def test_negative_and_late_times() -> None:
    """A time before 1970 or after 2242 is read from base-256."""
    early = header(b"a", mtime=(-5 % (1 << 96)).to_bytes(12, "big"))
    late = header(b"b", mtime=(1 << 95 | 1 << 40).to_bytes(12, "big"))
    assert [each.mtime_ns // 10**9 for each in entries(early + late + END)] == [-5, 1 << 40]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"./a/b", b"a/b"),
        (b"/etc/passwd", b"etc/passwd"),
        (b"//a///b/.//c/", b"a/b/c"),
        (b"./", b""),
        (b"/", b""),
        (b".", b""),
        (b"..a/b../...", b"..a/b../..."),
        (b".hidden/.x", b".hidden/.x"),
        (b"a//..b", b"a/..b"),
    ],
)
def test_clean_path(name: bytes, path: bytes) -> None:
    """Slashes and dots that mean nothing are dropped, an absolute name is below the root."""
    assert clean_path(name) == path


@pytest.mark.parametrize("name", [b"..", b"../x", b"a/../../x", b"/..", b"a/..", b"./../x", b"a/b/../c"])
def test_dotdot(name: bytes) -> None:
    """A `..` in a name or in a hard link's target is refused."""
    assert "could lead out of the root" in refused(file(name) + END)
    assert "could lead out of the root" in refused(hard_link(b"h", name) + END)


def test_whiteouts() -> None:
    """Whiteouts and opaque marks are kinds and never names; a file with `.wh.` inside of its name is none."""
    tar = (
        file(b"a/.wh.b") + file(b".wh.c") + file(b"d/.wh..wh..opq") + file(b".wh..wh..opq") + file(b"x.wh.y", b"1")
        + hard_link(b"z/.wh.h", b".wh..wh.aufs") + END
    )  # fmt: skip
    assert [(each.path, each.kind.name) for each in entries(tar)] == [
        (b"a/b", "WHITEOUT"),
        (b"c", "WHITEOUT"),
        (b"d", "OPAQUE"),
        (b"", "OPAQUE"),
        (b"x.wh.y", "FILE"),
        (b"z/h", "WHITEOUT"),
    ]


def test_aufs_leftovers_are_skipped() -> None:
    """What AUFS kept for itself in very old images is no entry."""
    tar = directory(b".wh..wh.plnk/") + file(b".wh..wh.plnk/1.2", b"x") + file(b".wh..wh.aufs") + file(b"f") + END
    assert contents(tar) == [(b"f", b"")]


@pytest.mark.parametrize("name", [b".wh.", b"a/.wh.", b".wh..", b".wh...", b"a/.wh...", b".wh.a/b", b"x/.wh.a/b"])
def test_bad_whiteout(name: bytes) -> None:
    """A whiteout of nothing, of `.`, of `..`, or with something below it is refused."""
    assert "marks nothing that could be deleted" in refused(file(name) + END)


@pytest.mark.parametrize("flag", [b"1", b"2", b"3", b"5", b"6"])
def test_size_of_what_has_no_content(flag: bytes) -> None:
    """The size field of an entry that has no content is not skipped over, as Go and Python have it."""
    first, second = entries(header(b"a", flag, size=512, link=b"t") + file(b"b") + END)
    assert (first.size, second.path) == (0, b"b")


def test_two_sizes() -> None:
    """A size in a PAX record that contradicts the header's is refused (CVE-2025-62518)."""
    inner = file(b"smuggled", b"x")
    tar = pax([(b"size", b"%d" % len(inner))]) + header(b"nested.tar", size=0) + inner + END
    assert refused(tar) == f"the tar gives nested.tar two sizes, 0 and {len(inner)}"


def test_pax_size_beyond_the_header() -> None:
    """A size that the header cannot hold comes from the PAX record."""
    tar = pax([(b"size", b"9000000000")]) + header(b"large", size=0)
    assert next(read_entries(io.BytesIO(tar)))[0].size == 9_000_000_000


def test_equal_sizes() -> None:
    """A PAX size that says the same as the header is fine, and one of a directory says nothing."""
    tar = pax([(b"size", b"3")]) + file(b"f", b"abc") + pax([(b"size", b"99")]) + directory(b"d") + END
    assert contents(tar) == [(b"f", b"abc"), (b"d", b"")]


def test_old_directories() -> None:
    """Before POSIX a directory was a file whose name ends in a slash."""
    first, second = entries(header(b"d/", b"\0") + header(b"f/", b"0") + END)
    assert (first.kind, second.kind) == (Kind.DIR, Kind.FILE)


def test_prefix_belongs_to_posix_only() -> None:
    """GNU's older format has times where POSIX has the prefix of the name; star has them at its end."""
    gnu = header(b"f", magic=b"ustar  \0", prefix=b"14321560456\x0014321560456\0")
    star = header(b"f", prefix=b"dir".ljust(131, b"\0") + b"00000000000 " + b"00000000000 ")[:508] + b"tar\0"
    star = star[:148] + b"%06o\0 " % sum(star[:148] + b" " * 8 + star[156:]) + star[156:]
    assert [each.path for each in entries(gnu + star + END)] == [b"f", b"dir/f"]


@pytest.mark.parametrize("cut", [1, 511])
def test_less_than_a_header(cut: int) -> None:
    """What is shorter than a header was never an archive."""
    assert "not a tar archive" in refused(file(b"f", b"x")[:cut])


@pytest.mark.parametrize("count", [1, 200, 511])
def test_part_of_a_header_at_the_end(count: int) -> None:
    """A file and then less than a header is a tar that was cut, not one that ends."""
    assert "ends too early" in refused(file(b"f", b"x") + file(b"g")[:count])


@pytest.mark.parametrize("cut", [513, 1023, 1024 + 511, 1024 + 512, 1024 + 600, 2047])
def test_truncated(cut: int) -> None:
    """An archive that ends inside a header, a content or its padding is refused."""
    tar = pax([(b"path", b"f")]) + file(b"f", b"x" * 100)
    assert "ends too early" in refused(tar[:cut])


def test_no_end_mark() -> None:
    """An archive may end without blocks of zeros, with one, or with two; what follows is no entry."""
    for end in (b"", bytes(512), bytes(1024), END + file(b"ghost") + END):
        assert contents(file(b"f", b"x") + end) == [(b"f", b"x")]


def test_data_after_one_zero_block() -> None:
    """One block of zeros with an entry after it, which only some readers would see, is refused."""
    assert "data after the block that ends it" in refused(file(b"f") + bytes(512) + file(b"ghost") + END)


def test_empty_stream() -> None:
    """No bytes at all are an archive without entries."""
    assert entries(b"") == []


def test_no_tar() -> None:
    """Anything else is said not to be a tar."""
    assert refused(b"<html>" * 200) == "this is not a tar archive"


def test_wrong_checksum() -> None:
    """A header whose checksum is wrong is refused, with its place."""
    damaged = bytearray(file(b"f") + file(b"g") + END)
    damaged[512 + 101] ^= 1
    assert refused(bytes(damaged)) == "damaged tar: the checksum of a header is wrong (at byte 512)"


@pytest.mark.parametrize(
    ("tar", "words"),
    [
        (header(b"f", size=b"\xff" * 12), "negative size"),
        (header(b"f", size=b"12x\0"), "is not a number"),
        (header(b"f", uid=b"\xff" * 8), "is not a user id"),
        (header(b"f", gid=b"\x80\0\0\0\xff\xff\xff\xff"), "is not a group id"),
        (header(b"f", mtime=b"\x80" + b"\xff" * 11), "is not a time"),
        (header(b"", b"0"), "has no name"),
        (header(b"l", b"2", link=b""), "no target"),
        (header(b"h", b"1", link=b""), "has no name"),
        (pax(b"5 a=b\n") + file(b"f"), "PAX header"),
        (pax([(b"path", b"a\0b")]) + file(b"f"), "NUL byte"),
        (pax([(b"linkpath", b"a\0b")]) + symlink(b"f", b"x"), "NUL byte"),
        (pax([(b"size", b"-1")]) + file(b"f"), "is not a size"),
        (pax([(b"uid", b"1e3")]) + file(b"f"), "is not a user id"),
        (pax([(b"mtime", b"x")]) + file(b"f"), "is not a time"),
        (pax([(b"linkpath", b"t" * 5000)]) + symlink(b"l", b"x"), "no target"),
        (pax([(b"path", b"a/" * 2500 + b"a")]) + file(b"f"), "longer than"),
        (header(b"x", b"x", size=(1 << 20) + 1), "longer than the 1048576 allowed"),
        (header(b"x", b"L", size=b"\x80" + b"\x7f" * 11), "longer than the 1048576 allowed"),
        (header(b"x", b"x", size=b"\xff" * 12), "longer than the 1048576 allowed"),
        (header(b"f", b"S"), "sparse"),
        (pax([(b"GNU.sparse.major", b"1")]) + file(b"f"), "sparse"),
        (header(b"f", b"M"), "of type 'M'"),
        (header(b"f", b"\x1b"), "of type '\\x1b'"),
        (symlink(b"./", b"/etc"), "its root is not a directory"),
        (symlink(b".", b"/etc"), "its root is not a directory"),
        (hard_link(b"/", b"f"), "its root is not a directory"),
        (file(b"/"), "its root is not a directory"),
    ],
)
def test_refused(tar: bytes, words: str) -> None:
    """Each of these is refused with words that say what is wrong."""
    assert words in refused(tar + END)


def test_messages_are_one_printable_line() -> None:
    """A hostile name cannot draw on the terminal."""
    message = refused(symlink(b"\x1b[2J\nx/\xff/..", b"x") + END)
    assert message.isprintable() and "\\x1b[2J\\nx/\\xff" in message


@given(st.binary(max_size=3000))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are entries or an ImageError, never anything else."""
    try:
        contents(data)
    except ImageError:
        pass


@given(st.data())
def test_any_header(data: st.DataObject) -> None:
    """Any header with a right checksum, and PAX records of any kind before it, is an entry or an ImageError."""
    block = bytearray(header(b"name", DIR if data.draw(st.booleans()) else LINK, link=b"target"))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, 511))
        piece = data.draw(st.binary(min_size=1, max_size=12))
        block[at : at + len(piece)] = piece
    block = block[:512].ljust(512, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    records = padded(data.draw(st.sampled_from([b"", b"6 a=b\n", b"12 path=a/b\n", b"9 size=1\n"])))
    before = header(b"x", b"x", size=len(records.rstrip(b"\0"))) + records if records else b""
    try:
        contents(before + bytes(block) + END)
    except ImageError:
        pass
