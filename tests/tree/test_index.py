"""The layer index on disk."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given

from builder.errors import ImageError, StoreError
from builder.tree.index import IndexWriter, index_diff_id, index_of, read_index, write_index
from builder.tree.pack import Item, pack_layer
from builder.values.digest import DiffId
from builder.values.entry import Entry, Kind
from builder.values.image import MEDIA_LAYER, MEDIA_LAYER_GZIP
from tests.tree.entries import entries

DIFF_ID = DiffId("ab" * 32)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("index") / "index"


@given(entries)
def test_law_round_trip(path: Path, some: tuple[Entry, ...]) -> None:
    """Entries are read as they were written, whatever bytes their names are."""
    path.unlink(missing_ok=True)
    filled = [entry._replace(offset=7, digest="d" * 64, size=9) for entry in some]
    assert write_index(path, DIFF_ID, [*some, *filled]) == 2 * len(some)
    assert read_index(path) == [*some, *filled]
    assert index_diff_id(path) == DIFF_ID


def test_the_form_on_disk(tmp_path: Path) -> None:
    """The file is what the module's first paragraph says, in ASCII, a line an entry."""
    some = [
        Entry(b"d", Kind.DIR, 0o755),
        Entry(b'd/\xff"\n', Kind.FILE, 0o644, 1, 2, 3, 4, b"", (("user.a", b"\0"),), 512, "ab"),
        Entry(b"c", Kind.CHAR, 0o600, rdev=(1, 3)),
    ]
    write_index(tmp_path / "i", DIFF_ID, some)
    assert (tmp_path / "i").read_text("ascii").splitlines() == [
        f'{{"version":1,"diff_id":"{DIFF_ID}"}}',
        '["d","d",493,0,0,0,0,"",-1,""]',
        '["d/\\udcff\\"\\n","f",420,1,2,3,4,"",512,"ab",[["user.a","AA=="]]]',
        '["c","c",384,0,0,0,0,"",-1,"",[],[1,3]]',
    ]
    assert all(json.loads(line) for line in (tmp_path / "i").read_text().splitlines())


def test_many_rows(tmp_path: Path) -> None:
    """More rows than are written at a time are all there."""
    some = [Entry(b"f%d" % number, Kind.FILE) for number in range(2500)]
    write_index(tmp_path / "i", DIFF_ID, some)
    assert read_index(tmp_path / "i") == some


def test_unfinished_is_damaged(tmp_path: Path) -> None:
    """An index that was never finished cannot be taken for a whole one."""
    with IndexWriter(tmp_path / "i") as writer:
        for number in range(1500):
            writer.add(Entry(b"%d" % number, Kind.FILE))
    with pytest.raises(StoreError, match="damaged"):
        read_index(tmp_path / "i")


@pytest.mark.parametrize(
    "rows",
    [
        b"",
        b"{}\n",
        b"\xff\n",
        b"[]\n",
        b'{"version":1}\n',
        b"%s[1]\n",
        b'%s["a","f"',
        b'%s["a","?",1,0,0,0,0,"",0,""]\n',
        b'%s["a","f",1,0,0,0,0,"",0,"",[["k","!"]]]\n',
        b"%s{}\n",
        b"%s[\n]\n",
        b"%s" + b"[" * 9999 + b"\n",
    ],
)
def test_damage(tmp_path: Path, rows: bytes) -> None:
    """Whatever is wrong with an index is a StoreError that names the file."""
    head = b'{"version":1,"diff_id":"%s"}\n' % str(DIFF_ID).encode()
    (tmp_path / "i").write_bytes(rows.replace(b"%s", head))
    with pytest.raises(StoreError, match=str(tmp_path)):
        read_index(tmp_path / "i")


def test_newer_version(tmp_path: Path) -> None:
    """An index of a later version is refused with a hint, not guessed at."""
    (tmp_path / "i").write_text(f'{{"version":2,"diff_id":"{DIFF_ID}"}}\n')
    with pytest.raises(StoreError, match="version 2") as caught:
        read_index(tmp_path / "i")
    assert caught.value.hint


def test_index_of_is_packs_own(tmp_path: Path) -> None:
    """The index read from a blob is, byte for byte, the one that pack wrote."""
    items = [
        Item(Entry(b"d", Kind.DIR, 0o755, mtime_ns=1)),
        Item(Entry(b"d/f", Kind.FILE, 0o644, 5, 6, 3, 10**9, xattrs=(("user.a", b"x"),)), b"abc"),
        Item(Entry(b"d/g", Kind.HARDLINK, 0o644, 5, 6, 0, 10**9, b"d/f")),
        Item(Entry(b"d/gone", Kind.WHITEOUT, 0)),
    ]
    packed = pack_layer(items, tmp_path / "b", tmp_path / "i", "gzip")
    assert index_of(tmp_path / "b", MEDIA_LAYER_GZIP, packed.diff_id, tmp_path / "j") == 4
    assert (tmp_path / "j").read_bytes() == (tmp_path / "i").read_bytes()


def test_index_of_what_follows_the_archive(tmp_path: Path) -> None:
    """Zeros after the archive's end, as GNU tar writes them, count for the diff-id."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("f"))
    data = stream.getvalue() + bytes(900_000)
    (tmp_path / "b").write_bytes(data)
    assert index_of(tmp_path / "b", MEDIA_LAYER, DiffId.of(data), tmp_path / "i") == 1
    assert read_index(tmp_path / "i")[0].digest == hashlib.sha256().hexdigest()


@pytest.mark.parametrize("damage", ["other content", "cut short"])
def test_index_of_verifies(tmp_path: Path, damage: str) -> None:
    """A layer that is not what its image says gets no index."""
    data = gzip.compress(bytes(1024))
    (tmp_path / "b").write_bytes(data if damage == "other content" else data[:-3])
    with pytest.raises(ImageError):
        index_of(tmp_path / "b", MEDIA_LAYER_GZIP, DIFF_ID, tmp_path / "i")
    assert not (tmp_path / "i").exists()
