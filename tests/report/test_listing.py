"""Files of an image as lines and as JSON."""

from __future__ import annotations

import json

from builder.report.listing import Long, Row, kind_words, listing, listing_json, mode_text, size_text
from builder.tree.view import Located
from builder.values.entry import Entry, Kind

FILE = Entry(b"etc/app", Kind.FILE, 0o4755, 5, 1000, 1234, 1_600_000_000_500_000_000, digest="ab" * 32, offset=512)
LINK = Entry(b"etc/link", Kind.SYMLINK, 0o777, link=b"../\xff\x1b[31mx", mtime_ns=0)
DEVICE = Entry(b"dev/null", Kind.CHAR, 0o666, rdev=(1, 3), xattrs=(("user.a", b"\xff"),))
DIR = Entry(b"d", Kind.DIR, 0o1777)
MADE_BY = ("FROM\x1b[2J", "COPY  app\n  /etc/app")


def _row(entry: Entry, layer: int = 0, first_name: bytes | None = None) -> Row:
    return Row(entry.path.rpartition(b"/")[2], Located(entry, layer, first_name or entry.path))


def test_names_alone() -> None:
    """Without more only names are listed, one a line."""
    assert listing([_row(FILE), _row(DIR)], None, None, 3) == "app\nd"
    assert listing([], None, None, None) == ""


def test_names_of_strangers() -> None:
    """A name cannot move the cursor, forge a line or make a column."""
    odd = [Row(name, _row(FILE).located) for name in (b"\x1b[31mred", b"two\nlines", b"a\tb", b"\xff", "é".encode())]
    assert listing(odd, None, None, None).split("\n") == ["red", "two\\x0alines", "a\\x09b", "\\xff", "é"]


def test_long_lines() -> None:
    """Mode, owner, size, time and where links lead, in columns; devices have numbers, directories no size."""
    assert listing([_row(FILE), _row(LINK), _row(DEVICE), _row(DIR)], Long(), None, None).split("\n") == [
        "-rwsr-xr-x  5  1000  1234  2020-09-13 12:26  app",
        "lrwxrwxrwx  0  0        -  1970-01-01 00:00  link -> ../\\xffx",
        "crw-rw-rw-  0  0     1, 3  1970-01-01 00:00  null",
        "drwxrwxrwt  0  0        -  1970-01-01 00:00  d",
    ]


def test_owners_by_name() -> None:
    """Owners are shown as the caller has them called, and made harmless."""
    long = Long({5: "app\x1b[31m"}.__getitem__, {1000: "team"}.__getitem__)
    assert listing([_row(FILE)], long, None, None).split("  ")[1:3] == ["app", "team"]


def test_which_layer_has_it() -> None:
    """Layers count from 1; what made one is on one line, cut where there is a width."""
    rows = [_row(FILE, 1), _row(DIR)]
    assert listing(rows, None, MADE_BY, None).split("\n") == ["2  app  COPY app /etc/app", "1  d    FROM"]
    assert listing(rows, None, MADE_BY, 16).split("\n")[0] == "2  app  COPY ..."
    assert listing(rows, Long(), MADE_BY, None).split("\n")[0].endswith("12:26  2  app  COPY app /etc/app")


def test_json_is_exact() -> None:
    """Programs get every fact; bytes that are no UTF-8 come back from escaped surrogates."""
    app, link, device = json.loads(listing_json([_row(FILE, 1), _row(LINK), _row(DEVICE)], MADE_BY))
    assert app == {
        "path": "/etc/app",
        "type": "file",
        "mode": "4755",
        "uid": 5,
        "gid": 1000,
        "size": 1234,
        "mtime": "2020-09-13T12:26:40.500000000Z",
        "digest": f"sha256:{'ab' * 32}",
        "layer": 2,
        "createdBy": "COPY  app\n  /etc/app",
    }
    assert link["target"].encode("utf-8", "surrogateescape") == LINK.link
    assert (device["device"], device["xattrs"]) == ([1, 3], {"user.a": "/w=="})
    assert json.loads(listing_json([], MADE_BY)) == []


def test_json_of_a_hard_link() -> None:
    """Another name of a file says whose."""
    [row] = json.loads(listing_json([_row(FILE, 1, b"etc/first")], MADE_BY))
    assert row["hardLinkTo"] == "/etc/first"


def test_times_of_no_calendar() -> None:
    """A time that no calendar has is the nearest that one has."""
    far = FILE._replace(mtime_ns=10**30)
    assert "9999-12-31 23:59" in listing([_row(far)], Long(), None, None)
    assert json.loads(listing_json([_row(far)], MADE_BY))[0]["mtime"] == "9999-12-31T23:59:59Z"


def test_words_for_kinds() -> None:
    """Every kind that a view has is named."""
    for kind in set(Kind) - {Kind.WHITEOUT, Kind.OPAQUE}:
        assert kind_words(kind).startswith("a ")
        assert len(mode_text(Entry(b"x", kind))) == 10 and size_text(Entry(b"x", kind))
