"""Reading files out of layers."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.errors import ImageError, StoreError
from builder.tree.compress import media_type_of
from builder.tree.index import read_index
from builder.tree.pack import Item, pack_layer
from builder.tree.reader import LayerReader, Opener
from builder.values.entry import Entry, Kind

KINDS = ("gzip", "zstd", "none")


def _layer(directory: Path, contents: dict[bytes, bytes], compression: str) -> tuple[LayerReader, dict[bytes, Entry]]:
    blob, index = directory / "blob", directory / "index"
    blob.unlink(missing_ok=True)
    index.unlink(missing_ok=True)
    items = [Item(Entry(path, Kind.FILE, size=len(data)), data) for path, data in sorted(contents.items())]
    pack_layer(items, blob, index, compression)
    entries = {entry.path: entry for entry in read_index(index)}
    return LayerReader(blob, media_type_of(compression)), entries


def _content(opener: Opener, entry: Entry) -> bytes:
    fd = opener(entry)
    try:
        data = b""
        while len(data) < entry.size:
            data += os.read(fd, entry.size - len(data))
        return data
    finally:
        os.close(fd)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    st.dictionaries(st.sampled_from([b"a", b"b", b"c", b"d/e"]), st.binary(max_size=2000), min_size=1),
    st.sampled_from(KINDS),
)
def test_what_was_packed_is_read(tmp_path: Path, contents: dict[bytes, bytes], compression: str) -> None:
    """Any choice of files, asked for in any order, comes out as it went in."""
    reader, entries = _layer(tmp_path, contents, compression)
    wanted = [entries[path] for path in list(contents)[: 1 + len(contents) // 2]][::-1]
    opener = reader.spool(wanted, tmp_path)
    for entry in wanted:
        assert _content(opener, entry) == contents[entry.path]


@pytest.mark.parametrize("compression", KINDS)
def test_large_files(tmp_path: Path, compression: str) -> None:
    """Files larger than a chunk come out whole, and what lies between is skipped."""
    contents = {name: os.urandom((3 << 20) + 7) for name in (b"a", b"b", b"c")}
    reader, entries = _layer(tmp_path, contents, compression)
    opener = reader.spool([entries[b"c"], entries[b"a"]], tmp_path)
    assert _content(opener, entries[b"a"]) == contents[b"a"]
    assert _content(opener, entries[b"c"]) == contents[b"c"]


@pytest.mark.parametrize("compression", KINDS)
def test_nothing_stays_in_the_directory(tmp_path: Path, compression: str) -> None:
    """The temporary file has no name, and descriptors outlive the opener."""
    reader, entries = _layer(tmp_path, {b"a": b"abc"}, compression)
    opener = reader.spool([entries[b"a"]], tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["blob", "index"]
    fd = opener(entries[b"a"])
    held = os.listdir("/proc/self/fd")
    del opener
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == len(held) - 1
    assert os.read(fd, 3) == b"abc"
    os.close(fd)


@pytest.mark.parametrize("compression", KINDS)
def test_descriptors_do_not_disturb_each_other(tmp_path: Path, compression: str) -> None:
    """Many files may be open at once, one of them twice, in several threads: each has its own position."""
    contents = {b"%03d" % number: b"%d" % number * 1000 for number in range(50)}
    reader, entries = _layer(tmp_path, contents, compression)
    opener = reader.spool(list(entries.values()), tmp_path)
    one, two = opener(entries[b"007"]), opener(entries[b"007"])
    assert os.read(one, 10) == os.read(two, 10) == b"7" * 10
    os.close(one)
    os.close(two)
    wrong: list[bytes] = []

    def read_all() -> None:
        wrong.extend(path for path, entry in entries.items() if _content(opener, entry) != contents[path])

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_reading_stops_at_the_last_wanted_file(tmp_path: Path) -> None:
    """What comes after the last wanted file is not even decompressed: damage there does not matter."""
    reader, entries = _layer(tmp_path, {b"a": b"abc", b"b": os.urandom(4 << 20)}, "gzip")
    os.truncate(tmp_path / "blob", 3 << 20)
    assert _content(reader.spool([entries[b"a"]], tmp_path), entries[b"a"]) == b"abc"


@pytest.mark.parametrize("compression", KINDS)
def test_cut_layer_is_damaged(tmp_path: Path, compression: str) -> None:
    """A layer that ends before a wanted file does is an ImageError."""
    reader, entries = _layer(tmp_path, {b"a": os.urandom(4 << 20)}, compression)
    os.truncate(tmp_path / "blob", 2 << 20)
    with pytest.raises(ImageError):
        reader.spool([entries[b"a"]], tmp_path)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_content_that_is_not_the_indexs_is_damaged(tmp_path: Path, compression: str) -> None:
    """Content with another digest than the index says is an ImageError that names the file."""
    reader, entries = _layer(tmp_path, {b"etc/passwd": b"abc"}, compression)
    with pytest.raises(ImageError, match="etc/passwd"):
        reader.spool([entries[b"etc/passwd"]._replace(digest="0" * 64)], tmp_path)


def test_entries_that_overlap_are_damaged(tmp_path: Path) -> None:
    """An index whose files overlap is not believed."""
    reader, entries = _layer(tmp_path, {b"a": b"abcdef"}, "gzip")
    entry = entries[b"a"]
    with pytest.raises(ImageError):
        reader.spool([entry, entry._replace(offset=entry.offset + 1, digest="")], tmp_path)


def test_empty_files_need_no_layer_content(tmp_path: Path) -> None:
    """An empty file opens as such."""
    reader, entries = _layer(tmp_path, {b"a": b""}, "gzip")
    opener = reader.spool([entries[b"a"]], tmp_path)
    assert _content(opener, entries[b"a"]) == b""


@pytest.mark.parametrize("media_type", ["x.tar", "x.tar+gzip"])
def test_missing_blob_is_plain(tmp_path: Path, media_type: str) -> None:
    """A blob that is not there is a StoreError."""
    with pytest.raises(StoreError, match="cannot take files out of layer"):
        LayerReader(tmp_path / "blob", media_type).spool([Entry(b"a", Kind.FILE, size=1, offset=512)], tmp_path)


def test_missing_directory_is_plain(tmp_path: Path) -> None:
    """A directory for the temporary file that is not there is a StoreError."""
    reader, entries = _layer(tmp_path, {b"a": b"x"}, "gzip")
    with pytest.raises(StoreError):
        reader.spool([entries[b"a"]], tmp_path / "nothing")


@pytest.mark.parametrize("compression", KINDS)
def test_content_in_pieces(tmp_path: Path, compression: str) -> None:
    """A file can be had piece by piece; no piece is large, and nothing is kept on the disk."""
    contents = {b"a": b"x" * 100, b"b": os.urandom(3 << 20), b"c": b""}
    reader, entries = _layer(tmp_path, contents, compression)
    for path, content in contents.items():
        pieces = list(reader.pieces(entries[path]))
        assert b"".join(pieces) == content
        assert all(len(piece) <= 1 << 20 for piece in pieces)
    assert sorted(os.listdir(tmp_path)) == ["blob", "index"]


def test_damage_to_pieces_is_told_at_their_end(tmp_path: Path) -> None:
    """A file that is not what the index says ends in an error, and so does a layer that ends too early."""
    reader, entries = _layer(tmp_path, {b"a": b"content"}, "none")
    for entry in (entries[b"a"]._replace(digest="0" * 64), entries[b"a"]._replace(size=1 << 30)):
        with pytest.raises(ImageError, match="damaged"):
            list(reader.pieces(entry))
    with pytest.raises(StoreError, match="cannot read layer"):
        list(LayerReader(tmp_path / "none", media_type_of("none")).pieces(entries[b"a"]))
