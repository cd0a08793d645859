"""Tests of the row of every layer index."""

from __future__ import annotations

from builder.values.entry import Entry, Kind, room_of


def test_kinds_have_letters_of_their_own() -> None:
    """An index writes a kind as one letter; no two share one."""
    letters = [kind.value for kind in Kind]
    assert len(set(letters)) == len(letters)
    assert all(len(letter) == 1 for letter in letters)


def test_what_is_not_said() -> None:
    """An entry with no more than a path and a kind belongs to root, is empty, and has no content anywhere."""
    entry = Entry(b"a", Kind.FILE)
    assert (entry.mode, entry.uid, entry.gid, entry.size, entry.mtime_ns) == (0o644, 0, 0, 0, 0)
    assert (entry.link, entry.xattrs, entry.offset, entry.digest, entry.rdev) == (b"", (), -1, "", (0, 0))


def test_rows_are_plain_tuples() -> None:
    """An entry is a tuple in the order in which the index writes it: changing that order needs a new index version."""
    assert Entry._fields == (
        "path",
        "kind",
        "mode",
        "uid",
        "gid",
        "size",
        "mtime_ns",
        "link",
        "xattrs",
        "offset",
        "digest",
        "rdev",
    )


def test_room_comes_in_clusters() -> None:
    """A file takes whole clusters, an empty one none; a directory takes one; links and pipes lie in their inodes."""
    assert [room_of(Kind.FILE, size) for size in (0, 1, 4096, 4097)] == [0, 4096, 4096, 8192]
    assert [room_of(kind, 0) for kind in (Kind.DIR, Kind.SYMLINK, Kind.FIFO)] == [4096, 0, 0]
