"""Packing layers in one pass: what is written, that it is always the same, and what is refused."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import ContextError, ImageError
from builder.tree.compress import decompressor, media_type_of
from builder.tree.compressor import BLOCK_BYTES
from builder.tree.index import index_diff_id, read_index
from builder.tree.pack import Item, Packed, pack_layer
from builder.tree.tarformat import read_entries
from builder.values.digest import DiffId, Digest
from builder.values.entry import Entry, Kind
from tests.tree.entries import entries
from tests.tree.test_compress import sample

NS = 10**9
CONTENT = sample(BLOCK_BYTES + 1000)
GOLDEN = [
    Item(Entry(b"d", Kind.DIR, 0o750, 1, 2, 0, 7 * NS)),
    Item(Entry(b"d", Kind.OPAQUE)),
    Item(Entry(b"d/big", Kind.FILE, 0o4755, 0, 0, len(CONTENT), 1_500_000_000), CONTENT),
    Item(Entry(b"d/empty", Kind.FILE, 0o644, 70000, 3_000_000)),
    Item(Entry(b"d/gone", Kind.WHITEOUT)),
    Item(Entry(b"d/hard", Kind.HARDLINK, 0o4755, 0, 0, 0, 1_500_000_000, b"d/big")),
    Item(Entry(b"d/n\xffme", Kind.SYMLINK, 0o777, 0, 0, 0, -NS, b"../t")),
    Item(Entry(b"d/" + b"l" * 120, Kind.FILE, 0o644, 0, 0, 3, 0, b"", (("user.a", b"\0"),)), b"abc"),
    Item(Entry(b"fifo", Kind.FIFO, 0o600)),
]
GOLDEN_DIFF_ID = "sha256:58d6be4e8beb1e9848be58e7bd4d4be68c490ea64941af41f5b5d6b45cb8861b"


class Here:
    """A directory to pack into, as often as wanted."""

    def __init__(self, directory: Path) -> None:
        self.blob = directory / "blob"
        self.index = directory / "index"

    def pack(self, items: list[Item] | Iterator[Item], compression: str = "none", level: int = -1) -> Packed:
        self.blob.unlink(missing_ok=True)
        self.index.unlink(missing_ok=True)
        return pack_layer(iter(items), self.blob, self.index, compression, level)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Here:
    return Here(tmp_path_factory.mktemp("pack"))


def from_file(path: Path, offset: int = 0) -> Callable[[], int]:
    def opened() -> int:
        fd = os.open(path, os.O_RDONLY)
        os.lseek(fd, offset, os.SEEK_SET)
        return fd

    return opened


def from_pipe(data: bytes, pieces: int) -> Callable[[], int]:
    """A descriptor that gives `data` in reads of at most `pieces` bytes."""

    def opened() -> int:
        reader, writer = os.pipe()

        def feed() -> None:
            with open(writer, "wb", buffering=0) as pipe:
                for at in range(0, len(data), pieces):
                    pipe.write(data[at : at + pieces])

        threading.Thread(target=feed).start()
        return reader

    return opened


def test_golden(here: Here) -> None:
    """The tar of these entries is, byte for byte, what it has always been; a change here makes every cache useless."""
    assert str(here.pack(GOLDEN).diff_id) == GOLDEN_DIFF_ID


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_same_bytes_wherever_content_comes_from(here: Here, compression: str, tmp_path: Path) -> None:
    """Bytes in memory, a file, and a pipe that gives little at a time make the same blob."""
    (tmp_path / "f").write_bytes(b"before" + CONTENT + b"after")
    expected = here.pack(GOLDEN, compression)
    for content in (from_file(tmp_path / "f", 6), from_pipe(CONTENT, 4096), from_pipe(CONTENT, 65521)):
        items = [item._replace(content=content) if item.entry.path == b"d/big" else item for item in GOLDEN]
        assert here.pack(items, compression) == expected


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_identities(here: Here, compression: str) -> None:
    """Digest and size are the file's, and the diff-id is the uncompressed tar's."""
    packed = here.pack(GOLDEN, compression)
    data = here.blob.read_bytes()
    tar = decompressor(media_type_of(compression), io.BytesIO(data)).read()
    assert packed == Packed(DiffId.of(tar), Digest.of(data), len(data), len(GOLDEN))
    assert index_diff_id(here.index) == packed.diff_id


def test_index_finds_the_content(here: Here) -> None:
    """Each file's offset and digest in the index are those of its content in the tar."""
    here.pack(GOLDEN)
    tar = here.blob.read_bytes()
    rows = read_index(here.index)
    assert [row._replace(offset=-1, digest="") for row in rows] == [item.entry for item in GOLDEN]
    for row in rows:
        content = tar[row.offset : row.offset + row.size]
        assert row.digest == (hashlib.sha256(content).hexdigest() if row.kind is Kind.FILE else "")


@given(some=entries, contents=st.lists(st.binary(max_size=1500), min_size=6, max_size=6))
def test_law_our_reader(here: Here, some: tuple[Entry, ...], contents: list[bytes]) -> None:
    """Entries with content become a layer whose reader gives the same entries, contents and offsets."""
    items = [
        Item(entry._replace(size=len(data)), data) if entry.kind is Kind.FILE else Item(entry)
        for entry, data in zip(some, contents, strict=False)
    ]
    here.pack(items, "gzip")
    with open(here.blob, "rb") as raw:
        found = [(entry, content.read()) for entry, content in read_entries(decompressor(media_type_of("gzip"), raw))]
    assert [entry._replace(offset=-1) for entry, _ in found] == [item.entry for item in items]
    assert [content for _, content in found] == [item.content or b"" for item in items]
    assert [entry.offset for entry, _ in found if entry.kind is Kind.FILE] == [
        row.offset for row in read_index(here.index) if row.kind is Kind.FILE
    ]


def test_gnu_tar_agrees(here: Here) -> None:
    """GNU tar reads the whole archive without a word on stderr."""
    here.pack(GOLDEN, "gzip")
    done = subprocess.run(["tar", "-tzf", here.blob], capture_output=True, check=True)
    assert (done.stdout.count(b"\n"), done.stderr) == (len(GOLDEN), b"")


def test_only_what_is_given_is_written(here: Here) -> None:
    """No parent directory is added: which ones a layer needs is the caller's knowledge."""
    here.pack([Item(Entry(b"a/b/c", Kind.FILE))])
    with tarfile.open(here.blob) as archive:
        assert archive.getnames() == ["a/b/c"]


def test_empty_layer(here: Here) -> None:
    """No entries make the empty tar of two zero blocks."""
    packed = here.pack([])
    assert (packed.diff_id, packed.entries) == (DiffId.of(bytes(1024)), 0)
    assert read_index(here.index) == []


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ([Item(Entry(b"a", Kind.FILE)), Item(Entry(b"a", Kind.FILE))], ValueError, "twice"),
        ([Item(Entry(b"a", Kind.DIR)), Item(Entry(b"a", Kind.FILE))], ValueError, "twice"),
        ([Item(Entry(b"a", Kind.FILE, size=3), b"ab")], ValueError, "2 bytes and not 3"),
        ([Item(Entry(b"a", Kind.FILE, size=3), from_pipe(b"ab", 9))], ContextError, "a changed while it was read"),
        ([Item(Entry(b"a", Kind.FILE, size=2, digest="0" * 64), b"ab")], ContextError, "changed while"),
        ([Item(Entry(b"a", Kind.SOCKET))], ValueError, "SOCKET"),
        ([Item(Entry(b".wh.a", Kind.FILE))], ImageError, "cannot be in a layer"),
    ],
)
def test_refused(tmp_path: Path, items: list[Item], error: type[Exception], message: str) -> None:
    """What cannot be packed is an error that leaves neither blob nor index."""
    with pytest.raises(error, match=message):
        Here(tmp_path).pack(items)
    assert list(tmp_path.iterdir()) == []


def test_growing_file(here: Here, tmp_path: Path) -> None:
    """Of a file that has grown exactly the size that its entry says is read."""
    (tmp_path / "f").write_bytes(b"abcdef")
    here.pack([Item(Entry(b"f", Kind.FILE, size=3), from_file(tmp_path / "f"))])
    assert read_index(here.index)[0].digest == hashlib.sha256(b"abc").hexdigest()


def test_existing_files_are_not_touched(tmp_path: Path) -> None:
    """A blob or index that is there already is neither overwritten nor removed."""
    here = Here(tmp_path)
    for path in (here.blob, here.index):
        path.write_text("mine")
        with pytest.raises(FileExistsError):
            pack_layer([], here.blob, here.index, "none")
        assert [each.read_text() for each in tmp_path.iterdir()] == ["mine"]
        path.unlink()


def test_content_is_closed(here: Here, tmp_path: Path) -> None:
    """Descriptors of contents are closed, also after an error."""
    (tmp_path / "f").write_bytes(b"ab")
    before = len(os.listdir("/proc/self/fd"))
    here.pack([Item(Entry(b"f", Kind.FILE, size=2), from_file(tmp_path / "f"))])
    with pytest.raises(ContextError):
        here.pack([Item(Entry(b"f", Kind.FILE, size=3), from_file(tmp_path / "f"))])
    assert len(os.listdir("/proc/self/fd")) == before


def test_memory(here: Here) -> None:
    """Ten thousand entries need a few megabytes at most beside the block."""
    items = (Item(Entry(b"some/long/directory/file%06d" % number, Kind.FILE)) for number in range(10_000))
    here.pack(items)
    tracemalloc.start()
    items = (Item(Entry(b"some/long/directory/file%06d" % number, Kind.FILE)) for number in range(10_000))
    here.pack(items, "gzip")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 << 20
