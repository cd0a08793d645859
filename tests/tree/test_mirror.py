"""Trees that are copied for mounts."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import ContextError
from builder.tree.mirror import mirror
from builder.tree.pack import Item
from builder.values.entry import Entry, Kind

SECOND = 10**9


def opener(path: Path) -> Callable[[], int]:
    """What opens a file."""
    return lambda: os.open(path, os.O_RDONLY)


def item(path: bytes, source: Path, data: bytes, **more: object) -> Item:
    """A file with its content, which is put where it is read from."""
    source.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    entry = Entry(path, Kind.FILE, 0o644, size=len(data), digest=digest)
    return Item(entry._replace(**more), opener(source))  # type: ignore[arg-type]


def test_a_tree_is_written(tmp_path: Path) -> None:
    """With contents, links, modes (set-id bits too) and times to the nanosecond."""
    when = 1_700_000_000 * SECOND + 7
    mirror(
        (
            Item(Entry(b"d", Kind.DIR, 0o1750, mtime_ns=when)),
            item(b"d/tool", tmp_path / "tool", b"x" * 3_000_000, mode=0o4755, mtime_ns=when),
            Item(Entry(b"e", Kind.DIR, 0o755)),
            Item(Entry(b"e/link", Kind.SYMLINK, 0o777, link=b"../d/tool", mtime_ns=when)),
            item(b"empty", tmp_path / "empty", b""),
        ),
        tmp_path / "made",
    )
    made = tmp_path / "made"
    assert sorted(os.listdir(made)) == ["d", "e", "empty"]
    assert stat.S_IMODE((made / "d").stat().st_mode) == 0o1750
    tool = (made / "d" / "tool").stat()
    assert (stat.S_IMODE(tool.st_mode), tool.st_mtime_ns, tool.st_size) == (0o4755, when, 3_000_000)
    assert (made / "d" / "tool").read_bytes() == b"x" * 3_000_000
    assert (made / "d").stat().st_mtime_ns == when
    assert os.readlink(made / "e" / "link") == "../d/tool"
    assert (made / "e" / "link").lstat().st_mtime_ns == when


def test_a_directory_that_keeps_its_owner_out(tmp_path: Path) -> None:
    """It is filled before it gets its mode."""
    closed = (Item(Entry(b"d", Kind.DIR, 0)), Item(Entry(b"d/e", Kind.DIR, 0)), item(b"d/f", tmp_path / "f", b"1"))
    mirror(closed, tmp_path / "made")
    assert stat.S_IMODE((tmp_path / "made" / "d").stat().st_mode) == 0
    (tmp_path / "made" / "d").chmod(0o700)
    assert sorted(os.listdir(tmp_path / "made" / "d")) == ["e", "f"]


@pytest.mark.parametrize("now", [b"shor", b"other content", b"CONTENT"])
def test_a_file_that_changed_since_it_was_looked_at(tmp_path: Path, now: bytes) -> None:
    """What is shown to a step is what its key was made of, or nothing."""
    changing = item(b"file", tmp_path / "file", b"content")
    (tmp_path / "file").write_bytes(now)
    with pytest.raises(ContextError, match="file changed while it was read"):
        mirror((changing,), tmp_path / "made")


def test_a_file_that_grew_is_read_no_further(tmp_path: Path) -> None:
    """Its entry says how much of it there is."""
    growing = item(b"file", tmp_path / "file", b"content")
    with open(tmp_path / "file", "ab") as file:
        file.write(b" and more")
    mirror((growing,), tmp_path / "made")
    assert (tmp_path / "made" / "file").read_bytes() == b"content"


def test_nothing_is_written_through_a_name_twice(tmp_path: Path) -> None:
    """A second entry of a name is an error and no second way in."""
    (tmp_path / "outside").mkdir()
    link = Item(Entry(b"d", Kind.SYMLINK, 0o777, link=os.fsencode(tmp_path / "outside")))
    with pytest.raises(OSError):
        mirror((link, item(b"d/file", tmp_path / "file", b"1")), tmp_path / "made")
    assert not list((tmp_path / "outside").iterdir())
