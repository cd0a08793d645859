"""The files of a stack as one stream and as one tar."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import ImageError
from builder.tree.flatten import flattened, write_tar
from builder.tree.pack import Item
from builder.values.entry import Entry, Kind
from tests.tree.stacks import directory, file, gone, hard, link, stack


def tar_of(room: Path, *layers: Sequence[Item]) -> bytes:
    """The tar of these layers."""
    out = io.BytesIO()
    write_tar(flattened(*stack(room, layers)), out)
    return out.getvalue()


def members(data: bytes) -> list[tuple[str, str, str]]:
    """Name, kind, and content or target of each member, in order."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            reader = tar.extractfile(member) if member.isreg() else None
            text = reader.read().decode() if reader else member.linkname
            found.append((member.name, member.type.decode(), text))
    return found


def test_the_order(tmp_path: Path) -> None:
    """Directories first and sorted, then files layer by layer, a link after its file, then links and special files."""
    data = tar_of(
        tmp_path,
        [directory(b"z"), file(b"z/1", b"one"), hard(b"a-name", b"z/1"), link(b"l", b"z")],
        [directory(b"a"), file(b"a/2", b"two"), Item(Entry(b"a/p", Kind.FIFO))],
    )
    assert members(data) == [
        ("a", "5", ""),
        ("z", "5", ""),
        ("a-name", "0", "one"),
        ("z/1", "1", "a-name"),
        ("a/2", "0", "two"),
        ("a/p", "6", ""),
        ("l", "2", "z"),
    ]


def test_what_upper_layers_hide_is_not_there(tmp_path: Path) -> None:
    """A removed file is not in the tar, no mark of its removal either; a name that is left keeps the content."""
    data = tar_of(tmp_path, [file(b"a", b"x"), hard(b"b", b"a"), file(b"c", b"old")], [gone(b"a"), file(b"c", b"new")])
    assert members(data) == [("b", "0", "x"), ("c", "0", "new")]


def test_attributes_are_kept(tmp_path: Path) -> None:
    """Owners as numbers, all mode bits, times with their fraction, attributes and device numbers."""
    odd = Entry(b"f", Kind.FILE, 0o6755, 1000, 70000, 1, 1_500_000_000, xattrs=(("user.a", b"v"),))
    data = tar_of(tmp_path, [Item(odd, b"x"), Item(Entry(b"null", Kind.CHAR, 0o666, rdev=(1, 3)))])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found, null = tar.getmembers()
    assert (found.mode, found.uid, found.gid, found.mtime, found.uname) == (0o6755, 1000, 70000, 1.5, "")
    assert found.pax_headers["SCHILY.xattr.user.a"] == "v"
    assert (null.type, null.devmajor, null.devminor) == (tarfile.CHRTYPE, 1, 3)


def test_an_empty_stack(tmp_path: Path) -> None:
    """No layers are an empty tar."""
    assert members(tar_of(tmp_path)) == [] and len(tar_of(tmp_path)) == 1024


def test_the_same_layers_give_the_same_bytes(tmp_path: Path) -> None:
    """The tar depends on the layers alone."""
    layers = [[file(b"b", b"1"), file(b"a", b"2")], [file(b"c", b"3" * 100_000)]]
    assert _in(tmp_path / "1", layers) == _in(tmp_path / "2", layers)


def _in(room: Path, layers: Sequence[Sequence[Item]]) -> bytes:
    room.mkdir()
    return tar_of(room, *layers)


def test_a_damaged_layer(tmp_path: Path) -> None:
    """A content that is not what the index says is found when it has been read."""
    view, read = stack(tmp_path, [[file(b"a", b"right")]], "none")
    (tmp_path / "blob0").write_bytes((tmp_path / "blob0").read_bytes().replace(b"right", b"wrong"))
    with pytest.raises(ImageError, match="damaged"):
        write_tar(flattened(view, read), io.BytesIO())


_ROWS = st.one_of(
    st.builds(file, st.sampled_from([b"a", b"b", b"d/a", b"d/b", b"e/a"]), st.binary(max_size=1500)),
    st.builds(gone, st.sampled_from([b"a", b"b", b"d", b"d/a", b"e"])),
    st.builds(directory, st.sampled_from([b"d", b"e", b"a"])),
    st.builds(link, st.sampled_from([b"b", b"e"]), st.just(b"d")),
)
_LAYER = st.lists(_ROWS, max_size=6, unique_by=lambda item: item.entry.path)


@settings(max_examples=60, deadline=None)
@given(st.lists(_LAYER, max_size=4))
def test_the_tar_is_the_view(layers: list[list[Item]]) -> None:
    """Whatever the layers are, the tar has what the merged view has, and every content is the right one."""
    contents = {number: {item.entry.path: item.content for item in items} for number, items in enumerate(layers)}
    with tempfile.TemporaryDirectory() as room:
        view, read = stack(Path(room), layers)
        out = io.BytesIO()
        write_tar(flattened(view, read), out)
    expected = {}
    for located in view.walk(b""):
        entry = located.entry
        if entry.path:
            held = contents[located.layer].get(located.first_name) if entry.kind is Kind.FILE else None
            expected[entry.path.decode()] = held.decode("latin-1") if isinstance(held, bytes) else entry.link.decode()
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        found = {member.name: _text(tar, member) if member.isreg() else member.linkname for member in tar}
    assert found == expected


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    reader = tar.extractfile(member)
    assert reader is not None
    return reader.read().decode("latin-1")
