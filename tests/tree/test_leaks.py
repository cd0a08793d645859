"""Looking for bytes in layers."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.tree.index import read_index
from builder.tree.leaks import Hit, Search, place_of, search_blob
from builder.tree.pack import Item, pack_watched
from builder.values.entry import Entry, Kind
from builder.values.image import MEDIA_LAYER_GZIP

WORD = b"s3cret-value"


def _fed(data: bytes, cuts: list[int], *words: bytes) -> list[Hit]:
    search = Search(words)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in itertools.pairwise(places):
        search.feed(memoryview(bytearray(data[start:end])))
    return search.hits


@given(st.binary(max_size=100), st.binary(max_size=100), st.lists(st.integers(0, 220)))
def test_the_cut_of_the_blocks_does_not_matter(before: bytes, after: bytes, cuts: list[int]) -> None:
    """A word is found at its first place however the bytes come, and one that is not there is not."""
    data = before + WORD + after
    assert _fed(data, cuts, b"not in there", WORD) == [Hit(1, data.find(WORD))]


def test_each_word_is_found_once() -> None:
    """Where it is first."""
    assert sorted(_fed(WORD + b"x" * 50 + b"other-word" + WORD, [20, 40], WORD, b"other-word")) == [
        Hit(0, 0),
        Hit(1, 62),
    ]


def test_nothing_wanted_is_nothing_found() -> None:
    """An empty search is no error."""
    assert _fed(b"data", []) == []


def _packed(tmp_path: Path, *items: Item) -> tuple[list[Hit], list[Entry]]:
    search = Search([WORD])
    pack_watched(items, (tmp_path / "blob", tmp_path / "index"), "gzip", -1, search.feed)
    assert search_blob(tmp_path / "blob", MEDIA_LAYER_GZIP, [WORD]) == search.hits
    return search.hits, read_index(tmp_path / "index")


@pytest.mark.parametrize("offset", [0, 1, (1 << 20) - 518, (1 << 20) - 1536, 3 << 20])
def test_a_file_is_found_by_its_content(tmp_path: Path, offset: int) -> None:
    """Wherever in a file it is, also across the blocks that a layer is packed in."""
    content = b"\0" * offset + WORD + b"\n"
    hits, entries = _packed(
        tmp_path,
        Item(Entry(b"a", Kind.FILE, 0o644, size=3), b"abc"),
        Item(Entry(b"d/file", Kind.FILE, 0o644, size=len(content)), content),
        Item(Entry(b"z", Kind.FILE, 0o644, size=3), b"abc"),
    )
    assert [place_of(hit, WORD, entries) for hit in hits] == ["/d/file"]


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        (Entry(b"d/" + WORD, Kind.FILE, 0o644), "the name of a file in /d"),
        (Entry(b"d/link", Kind.SYMLINK, 0o777, link=b"/x/" + WORD), "the target of the link /d/link"),
        (Entry(b"d/f", Kind.FILE, 0o644, xattrs=(("user.x", b"a" + WORD),)), "an extended attribute of /d/f"),
        (Entry(b"d/" + b"n" * 150 + WORD, Kind.DIR, 0o755), "the name of a file in /d"),
    ],
)
def test_names_links_and_attributes_are_searched(tmp_path: Path, entry: Entry, place: str) -> None:
    """All of an entry is in the tar, and so all of it is searched; what is said does not repeat the name."""
    hits, entries = _packed(tmp_path, Item(entry, b"" if entry.kind is Kind.FILE else None))
    assert {place_of(hit, WORD, entries) for hit in hits} == {place}
