"""Tables of what takes room."""

from __future__ import annotations

import json
from pathlib import Path

from builder.report.usage import entries_table, gone_table, size_text, usage_json, usage_table
from builder.store.holdings import Kind
from builder.store.prune import Gone
from builder.store.sizes import Size
from builder.store.usage import Entry, Usage, Use

ENTRY = Entry(Kind.CACHES, "pybuild/caches/x", "pip\x1b[31m", Size(2_000_000, whole=False), 100.0, True)
USAGE = Usage((Use(Kind.CACHES, 1, ENTRY.size, 2_000_000), Use(Kind.BASES, 0, Size(0), 0)), (ENTRY,))


def test_sizes_that_are_at_least() -> None:
    """A size that is a lower bound says so."""
    assert (size_text(Size(5)), size_text(Size(5, whole=False))) == ("5 B", ">5 B")


def test_the_table_of_kinds() -> None:
    """Kinds of which there is nothing are left out; the sum is at the end."""
    lines = usage_table(USAGE).splitlines()
    assert [line.split()[0] for line in lines] == ["KIND", "caches", "total"]
    assert ">2.0 MB" in lines[1] and "2.0 MB" in lines[2]


def test_the_table_of_things() -> None:
    """Each thing has its line, with nothing in it that a terminal would obey."""
    text = entries_table(USAGE, 100.0 + 7200)
    assert "pip" in text and "\x1b" not in text and "2 hours ago" in text


def test_for_programs() -> None:
    """JSON has the kinds and the things with plain numbers."""
    document = json.loads(usage_json(USAGE))
    assert document["kinds"][0] == {
        "kind": "caches",
        "count": 1,
        "size": 2_000_000,
        "sizeIsWhole": False,
        "reclaimable": 2_000_000,
    }
    assert document["things"][0]["path"] == "pybuild/caches/x"


def test_what_went() -> None:
    """What went is counted by its kind, which is called as --type takes it."""
    gone = [Gone(Kind.STEPS, "a", "a", Size(1000), Path("/t/a")), Gone(Kind.STEPS, "b", "b", Size(500), Path("/t/b"))]
    assert gone_table(gone).splitlines()[1].split() == ["steps", "2", "1.5", "kB"]
