"""Files of an image put into a directory that may hold anything."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.tree import flatten_local
from builder.tree.flatten import flattened
from builder.tree.flatten_local import write_files
from builder.tree.pack import Item
from builder.values.entry import Entry, Kind
from tests.tree.stacks import directory, file, hard, link, stack


def put(target: Path, *layers: Sequence[Item]) -> Counter[Kind]:
    """Put these layers' files into a directory."""
    with tempfile.TemporaryDirectory() as room:
        return write_files(flattened(*stack(Path(room), layers)), str(target))


def refused(target: Path, *layers: Sequence[Item]) -> StoreError:
    """What is said when they cannot be put there."""
    with pytest.raises(StoreError) as caught:
        put(target, *layers)
    return caught.value


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where it goes; not there yet."""
    return tmp_path / "out"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A place that nothing may be written to."""
    place = tmp_path / "secret"
    place.mkdir()
    (place / "file").write_text("mine")
    return place


def test_files_directories_and_links(out: Path) -> None:
    """They have their modes and times and belong to whoever writes them; a file's names are one file."""
    put(out, [directory(b"d", 0o750), file(b"d/f", b"text", 0o640), hard(b"g", b"d/f"), link(b"l", b"/nowhere")])
    facts = (out / "d/f").stat()
    assert (out / "d/f").read_text() == "text" and os.readlink(out / "l") == "/nowhere"
    assert (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_mtime) == (0o640, os.geteuid(), 1)
    assert (out / "g").samefile(out / "d/f")
    assert (stat.S_IMODE((out / "d").stat().st_mode), (out / "d").stat().st_mtime) == (0o750, 2)


def test_the_umask_counts_for_nothing_inside(out: Path) -> None:
    """What the image says is what there is."""
    before = os.umask(0o077)
    try:
        put(out, [directory(b"d", 0o777), file(b"d/f", b"", 0o666)])
    finally:
        os.umask(before)
    assert stat.S_IMODE((out / "d").stat().st_mode) == 0o777
    assert stat.S_IMODE((out / "d/f").stat().st_mode) == 0o666


def test_no_rights_are_lent(out: Path) -> None:
    """setuid and setgid are not kept: what was root's in the image would run as the caller; sticky is."""
    put(out, [directory(b"tmp", 0o7777), file(b"su", b"", 0o6755)])
    assert stat.S_IMODE((out / "su").stat().st_mode) == 0o755
    assert stat.S_IMODE((out / "tmp").stat().st_mode) == 0o1777


def test_directories_stay_open_to_their_owner(out: Path) -> None:
    """A directory that forbids its owner to write is filled, can be filled again, and can be removed."""
    layer = [directory(b"d", 0o555), directory(b"d/e", 0), file(b"d/e/f", b"x", 0)]
    put(out, layer)
    put(out, layer)
    assert stat.S_IMODE((out / "d/e").stat().st_mode) == 0o700
    (out / "d/e/f").unlink()


def test_special_files_are_counted(out: Path) -> None:
    """Devices and pipes are left out, under every name."""
    counted = put(out, [Item(Entry(b"p", Kind.FIFO)), hard(b"q", b"p"), Item(Entry(b"null", Kind.CHAR, rdev=(1, 3)))])
    assert counted == {Kind.FIFO: 2, Kind.CHAR: 1} and os.listdir(out) == []


def test_what_is_there_stays(out: Path) -> None:
    """Other files stay, files of the image replace those of the same name, directories are shared."""
    (out / "d").mkdir(parents=True)
    (out / "d/old").write_text("old")
    (out / "d/mine").write_text("mine")
    other = out / "another name"
    os.link(out / "d/old", other)
    put(out, [directory(b"d"), file(b"d/old", b"new")])
    assert ((out / "d/old").read_text(), (out / "d/mine").read_text()) == ("new", "mine")
    assert other.read_text() == "old", "a file is replaced, not written into"
    assert sorted(os.listdir(out / "d")) == ["mine", "old"]


def test_links_that_are_there_are_replaced_and_not_followed(out: Path, secret: Path) -> None:
    """A file, a link or a hard link of the image takes the place of a link; what that led to is untouched."""
    out.mkdir()
    for name in ("f", "l", "h"):
        (out / name).symlink_to(secret / "file")
    put(out, [file(b"f", b"x"), hard(b"h", b"f"), link(b"l", b"f")])
    assert (secret / "file").read_text() == "mine"
    assert not (out / "f").is_symlink() and (out / "h").samefile(out / "f") and os.readlink(out / "l") == "f"


@pytest.mark.parametrize("to", ["absolute", "inside", "dangling"])
def test_a_link_where_a_directory_is_needed(out: Path, secret: Path, to: str) -> None:
    """Nothing is written through it, wherever it leads: it is named as what is in the way."""
    out.mkdir()
    (out / "real").mkdir()
    (out / "d").symlink_to({"absolute": str(secret), "inside": "real", "dangling": "nowhere"}[to])
    error = refused(out, [directory(b"d"), file(b"d/file", b"x")])
    assert "out/d is a symbolic link, where the image has a directory" in error.message and error.hint
    assert (secret / "file").read_text() == "mine" and os.listdir(out / "real") == []


def test_a_file_where_a_directory_is_needed(out: Path) -> None:
    """It is named and stays."""
    out.mkdir()
    (out / "d").write_text("mine")
    assert "out/d is a file, where the image has a directory" in refused(out, [directory(b"d")]).message
    assert (out / "d").read_text() == "mine"


@pytest.mark.parametrize("item", [file(b"d", b"x"), link(b"d", b"x")])
def test_a_directory_where_something_else_is_needed(out: Path, item: Item) -> None:
    """A directory of the caller's is never removed for a file; nothing of ours stays beside it."""
    (out / "d").mkdir(parents=True)
    (out / "d/mine").touch()
    assert "out/d is a directory, where the image has something else" in refused(out, [item]).message
    assert os.listdir(out) == ["d"] and os.listdir(out / "d") == ["mine"]


def test_the_destination_may_be_a_link(out: Path, tmp_path: Path) -> None:
    """It is the caller who named it."""
    (tmp_path / "real").mkdir()
    out.symlink_to("real")
    put(out, [file(b"f", b"x")])
    assert (tmp_path / "real/f").read_text() == "x"


def test_a_destination_that_cannot_be_written(tmp_path: Path) -> None:
    """The error names the place."""
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    assert f"cannot write {closed}/out" in refused(closed / "out", []).message
    closed.chmod(0o755)


def test_a_directory_that_becomes_a_link_meanwhile(out: Path, secret: Path) -> None:
    """Somebody exchanges directories for links while we write: nothing is ever put where the links lead."""
    (out / "d").mkdir(parents=True)
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            try:
                os.rename(out / "d", out / "away")
                os.symlink(secret, out / "d")
                os.unlink(out / "d")
                os.rename(out / "away", out / "d")
            except OSError:
                pass

    thread = threading.Thread(target=exchange)
    thread.start()
    layer = [directory(b"d"), *(directory(b"d/%d" % i) for i in range(60)), *(file(b"d/%d/f" % i) for i in range(60))]
    try:
        for _ in range(30):
            try:
                put(out, layer)
            except StoreError:
                pass
    finally:
        stop.set()
        thread.join()
    assert os.listdir(secret) == ["file"] and (secret / "file").read_text() == "mine"


def test_a_failure_leaves_nothing_half_written(out: Path) -> None:
    """Where a content ends in an error, the name has what it had, and no file of ours stays."""
    out.mkdir()
    (out / "f").write_text("old")

    def broken() -> object:
        yield b"half"
        raise StoreError("gone")

    with pytest.raises(StoreError, match="gone"):
        write_files([(Entry(b"f", Kind.FILE, size=9), broken())], str(out))  # type: ignore[list-item]
    assert os.listdir(out) == ["f"] and (out / "f").read_text() == "old"


def test_a_file_under_way_has_no_name(out: Path) -> None:
    """While a content is written nothing of it is in the directory, so a process that is killed leaves nothing."""
    out.mkdir()
    (out / "f").write_text("old")

    def watched() -> Iterator[bytes]:
        yield b"ne"
        assert os.listdir(out) == ["f"] and (out / "f").read_text() == "old"
        yield b"w"

    write_files([(Entry(b"f", Kind.FILE, size=3), watched())], str(out))
    assert os.listdir(out) == ["f"] and (out / "f").read_text() == "new"


def test_file_systems_without_nameless_files(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where files need a name to be written, as on NFS, they have one of ours until they are whole."""
    monkeypatch.setattr(flatten_local, "open_nameless", lambda *_: None)
    for content in (b"old", b"new"):
        put(out, [file(b"f", content)])
        assert os.listdir(out) == ["f"] and (out / "f").read_bytes() == content


def test_many_directories(out: Path) -> None:
    """More directories than descriptors are kept open."""
    items = [directory(b"%d" % i) for i in range(300)] + [file(b"%d/f" % i, b"%d" % i) for i in range(300)]
    put(out, items)
    assert [(out / f"{i}/f").read_text() for i in (0, 150, 299)] == ["0", "150", "299"]
