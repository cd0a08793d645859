"""What is kept of a listed directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import ContextError
from builder.tree.listing import Listing, Places
from builder.tree.scan import list_directory, open_context


@pytest.fixture
def listing(tmp_path: Path) -> Listing:
    """Of a directory with a, b, c, and d that is a second name of a."""
    for name in ("b", "a", "c"):
        (tmp_path / name).write_text(name)
    os.link(tmp_path / "a", tmp_path / "d")
    with open_context(tmp_path) as root:
        return Listing(list_directory(root, b"").values())


def test_places(listing: Listing) -> None:
    """A path is found at its place, and what is not there has none."""
    assert [entry.path for entry in listing.entries] == [b"a", b"b", b"c", b"d"]
    assert [listing.place_of(path) for path in (b"a", b"d", b"", b"bb", b"e")] == [0, 3, -1, -1, -1]


def test_columns_are_the_status(listing: Listing, tmp_path: Path) -> None:
    """The facts of a file are those of its status."""
    for at, name in enumerate("abcd"):
        status = os.stat(tmp_path / name)
        facts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        assert listing.facts(at) == " ".join(map(str, facts))
        assert listing.ctime_ns(at) == status.st_ctime_ns


def test_every_change_of_a_status_shows(listing: Listing, tmp_path: Path) -> None:
    """Another size, time or mode, and another file in its place."""
    assert listing.is_still(1, os.stat(tmp_path / "b"))
    assert not listing.is_still(1, os.stat(tmp_path / "c"))
    before = os.stat(tmp_path / "b")
    while os.stat(tmp_path / "b").st_ctime_ns == before.st_ctime_ns:
        os.chmod(tmp_path / "b", 0o600)
    assert not listing.is_still(1, os.stat(tmp_path / "b"))


def test_names_of_one_file(listing: Listing) -> None:
    """Only files of several names are told by their device and inode."""
    assert set(listing.shared) == {b"a", b"d"} and len(set(listing.shared.values())) == 1


def test_digests(listing: Listing) -> None:
    """A digest is unknown until it was learnt, and is that of one file only."""
    listing.learn(1, "ab" * 32)
    assert [listing.digest(at) for at in range(4)] == ["", "ab" * 32, "", ""]
    for wrong in ("ab", "", "x" * 64, "ab" * 33):
        with pytest.raises(ValueError, match=r"no sha256|non-hex"):
            listing.learn(1, wrong)
    assert [listing.digest(at) for at in range(4)] == ["", "ab" * 32, "", ""]


def test_places_in_any_order(listing: Listing) -> None:
    """Entries are found in whatever order they are asked for; a stranger is none of them."""
    places = Places(lambda directory: Listing(()) if directory else listing)
    for at in (0, 1, 3, 2, 2, 0):
        assert places.find(listing.entries[at]) == (listing, at)
    assert places.find(listing.entries[1]._replace(mode=0)) == (listing, 1)
    for path in (b"bb", b"no/a"):
        with pytest.raises(ContextError, match="went away"):
            places.find(listing.entries[0]._replace(path=path))
