"""Differences between images as lines and as JSON."""

from __future__ import annotations

import json

from builder.report.changes import Side, changes_json, changes_text
from builder.tree.compare import Aspect, Change
from builder.values.entry import Entry, Kind

FILE = Entry(b"etc/app", Kind.FILE, 0o644, size=1000)
CHANGES = [
    Change(None, FILE._replace(path=b"added", size=2500)),
    Change(FILE, FILE._replace(size=400, mode=0o600, uid=5), (Aspect.CONTENT, Aspect.MODE, Aspect.OWNER)),
    Change(Entry(b"l", Kind.SYMLINK, link=b"a"), Entry(b"l", Kind.SYMLINK, link=b"\x1b[1mb\n"), (Aspect.LINK,)),
    Change(Entry(b"old\n", Kind.DIR, 0o755), None),
]


def test_lines_and_sums() -> None:
    """Each change is a line with what it takes and what is different; the sums follow."""
    assert changes_text(CHANGES).split("\n") == [
        "A  /added    2.5 kB",
        "C  /etc/app  -600 B  content, mode -rw-r--r-- to -rw-------, owner 0:0 to 5:0",
        "C  /l                link a to b\\x0a",
        "D  /old\\x0a",
        "",
        "1 added (+2.5 kB), 2 changed (-600 B), 1 removed",
    ]


def test_nothing() -> None:
    """Where there is no difference, that is said."""
    assert changes_text([]) == "no differences"


def test_json() -> None:
    """Programs get both sides of each change, and the sums in bytes."""
    document = json.loads(changes_json(Side("a:1", "sha256:a"), Side("a:2", "sha256:b"), CHANGES))
    assert (document["from"], document["to"]["name"]) == ({"name": "a:1", "digest": "sha256:a"}, "a:2")
    assert (document["added"], document["removed"]) == ({"count": 1, "bytes": 2500}, {"count": 1, "bytes": 0})
    added, changed, link, removed = document["changes"]
    assert added["change"] == "added" and "before" not in added and added["after"]["size"] == 2500
    assert changed["what"] == ["content", "mode", "owner"] and changed["before"]["mode"] == "0644"
    assert link["after"]["target"] == "\x1b[1mb\n"
    assert removed["path"] == "/old\n" and "after" not in removed
