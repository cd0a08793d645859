"""Sizes on the disk."""

from __future__ import annotations

import os
from pathlib import Path

from builder.store import sizes


def test_hard_links_count_once(tmp_path: Path) -> None:
    """Two names of one file take its room once."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"x" * 50_000)
    before = sizes.of_tree(tmp_path / "d")
    os.link(tmp_path / "d" / "a", tmp_path / "d" / "b")
    assert sizes.of_tree(tmp_path / "d") == before and before.size_bytes >= 50_000


def test_what_cannot_be_entered(tmp_path: Path) -> None:
    """A directory that may not be read makes the size a lower bound."""
    (tmp_path / "d" / "closed").mkdir(parents=True)
    (tmp_path / "d" / "closed").chmod(0)
    try:
        assert sizes.of_tree(tmp_path / "d").whole is (os.geteuid() == 0)
    finally:
        (tmp_path / "d" / "closed").chmod(0o700)


def test_nothing_takes_nothing(tmp_path: Path) -> None:
    """What is not there takes no room."""
    assert sizes.of_tree(tmp_path / "none") == sizes.Size(0)


def test_a_layer_by_its_index(tmp_path: Path) -> None:
    """Files take whole clusters and directories one; links and whiteouts take none."""
    rows = [
        '["a","f",420,0,0,1]',
        '["b","f",420,0,0,4097]',
        '["c","f",420,0,0,0]',
        '["d","d",493,0,0,0]',
        '["e","l",511,0,0,0]',
    ]
    (tmp_path / "index").write_text("\n".join(["{}", *rows]) + "\n")
    assert sizes.of_unpacked(tmp_path / "index") == sizes.Size(4096 * (1 + 2 + 0 + 1))


def test_a_damaged_index(tmp_path: Path) -> None:
    """An index that cannot be read gives a lower bound."""
    (tmp_path / "index").write_text('{}\n["a","f",420,0,0,1]\n["b"')
    assert sizes.of_unpacked(tmp_path / "index") == sizes.Size(4096, whole=False)
    assert sizes.of_unpacked(tmp_path / "none") == sizes.Size(0, whole=False)
