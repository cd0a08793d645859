"""Tests of what build checks look at."""

from __future__ import annotations

from builder.lang.findings import found, items_of, parents_of
from builder.lang.lines import read_lines
from tests.lang.reading import parsed


def test_items_know_line_and_block() -> None:
    """Every instruction is paired with the line it came from, and knows the block it is in."""
    buildfile = parsed("ARG a\nFROM b\nrun c\nFROM d\n")
    items = items_of(buildfile, read_lines(buildfile.source).lines)
    assert [(item.written_name, item.block and item.block.index) for item in items] == [
        ("ARG", None),
        ("FROM", 0),
        ("run", 0),
        ("FROM", 1),
    ]
    assert found("R", "m", items[2]).span.first == 3


def test_parents() -> None:
    """A block builds on the latest earlier block of that name, whatever the case."""
    buildfile = parsed("FROM x AS a\nFROM A AS b\nFROM y AS a\nFROM a\nFROM later\nFROM z AS later\n")
    assert parents_of(buildfile) == {0: None, 1: 0, 2: None, 3: 2, 4: None, 5: None}
