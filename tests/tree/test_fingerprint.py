"""Remembered digests of context files."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.errors import ContextError
from builder.tree import fingerprint
from builder.tree.fingerprint import Fingerprints
from builder.tree.listing import Listing
from builder.tree.safe import Root
from builder.tree.scan import OpenFiles, list_directory, open_context


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Root]:
    """The handle of a context in tmp_path/context."""
    (tmp_path / "context").mkdir()
    with open_context(tmp_path / "context") as root:
        yield root


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust files at once, as if they had been at rest for long."""
    monkeypatch.setattr(fingerprint, "_CLOCK_TICK_NS", -(10**9))


def _listed(root: Root, directory: bytes = b"") -> Listing:
    return Listing(list_directory(root, directory).values())


def _digest(root: Root, table: Fingerprints, listing: Listing | None = None) -> str:
    """What the table or the file itself says of the only file of a context, as it was listed."""
    listing = listing or _listed(root)
    table.recall(b"", listing)
    return listing.digest(0) or table.read(OpenFiles(root), listing, 0)


def _saved(root: Root, path: Path) -> None:
    """Read the only file of a context, and write the table."""
    table, listing = Fingerprints.load(path), _listed(root)
    _digest(root, table, listing)
    table.save({b"": listing})


def _names(path: Path) -> list[str]:
    """The names of the first line of rows."""
    return list(json.loads(path.read_bytes().splitlines()[2])[0])


def _wait_for_the_next_tick(probe: Path, after_ns: int) -> None:
    """Until the file system's clock has moved on."""
    probe.write_bytes(b"")
    while os.stat(probe).st_ctime_ns <= after_ns:
        time.sleep(0.001)
        os.utime(probe)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_digest_is_the_contents(context: Root, tmp_path: Path) -> None:
    """An unknown file is read, in several pieces if it is large."""
    data = os.urandom((2 << 20) + 5)
    (tmp_path / "context" / "f").write_bytes(data)
    assert _digest(context, Fingerprints.load(tmp_path / "t")) == _sha256(data)


def test_empty_file(context: Root, tmp_path: Path) -> None:
    """An empty file has the digest of nothing."""
    (tmp_path / "context" / "f").write_bytes(b"")
    assert _digest(context, Fingerprints.load(tmp_path / "t")) == _sha256(b"")


@pytest.mark.usefixtures("no_wait")
def test_unchanged_file_is_not_read(context: Root, tmp_path: Path) -> None:
    """A file that the table knows is not opened: its digest comes from the table."""
    (tmp_path / "context" / "f").write_bytes(b"abc")
    _saved(context, tmp_path / "t")
    listing = _listed(context)
    os.unlink(tmp_path / "context" / "f")
    assert _digest(context, Fingerprints.load(tmp_path / "t"), listing) == _sha256(b"abc")


def test_fresh_file_is_not_remembered(context: Root, tmp_path: Path) -> None:
    """A file that changed within the clock's tick is read again next time, since a change could hide in the tick."""
    (tmp_path / "context" / "f").write_bytes(b"abc")
    _saved(context, tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_file_at_rest_is_remembered(context: Root, tmp_path: Path) -> None:
    """After two seconds at rest a file is remembered, whatever its mtime says."""
    (tmp_path / "context" / "f").write_bytes(b"abc")
    os.utime(tmp_path / "context" / "f", (2**33, 2**33))
    time.sleep(2.1)
    _saved(context, tmp_path / "t")
    assert _names(tmp_path / "t") == ["f"]


@pytest.mark.usefixtures("no_wait")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.binary(max_size=3), st.binary(max_size=3), st.sampled_from(["write", "rename", "keep mtime", "truncate"]))
def test_every_change_is_seen(context: Root, tmp_path: Path, old: bytes, new: bytes, how: str) -> None:
    """However a file changes, its new digest is that of its content, even with the old size and mtime."""
    file = tmp_path / "context" / "f"
    file.write_bytes(old)
    before = os.stat(file)
    _saved(context, tmp_path / "t")
    _wait_for_the_next_tick(tmp_path / "probe", before.st_ctime_ns)
    if how == "rename":
        (tmp_path / "new").write_bytes(new)
        os.rename(tmp_path / "new", file)
    elif how == "truncate":
        new = old[:1]
        os.truncate(file, len(new))
    else:
        file.write_bytes(new)
    if how == "keep mtime":
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert _digest(context, Fingerprints.load(tmp_path / "t")) == _sha256(new)


@pytest.mark.usefixtures("no_wait")
def test_file_that_changes_while_it_is_read(context: Root, tmp_path: Path) -> None:
    """A file that is not as it was scanned is not remembered; one of another size is an error."""
    file = tmp_path / "context" / "f"
    file.write_bytes(b"abc")
    listing = _listed(context)
    file.write_bytes(b"xyz")
    os.utime(file, ns=(5, 5))
    table = Fingerprints.load(tmp_path / "t")
    assert table.read(OpenFiles(context), listing, 0) == _sha256(b"xyz")
    table.save({b"": listing})
    assert not (tmp_path / "t").exists()
    for data in (b"longer", b"s"):
        file.write_bytes(data)
        with pytest.raises(ContextError, match="changed while it was read"):
            table.read(OpenFiles(context), listing, 0)


@pytest.mark.usefixtures("no_wait")
def test_file_that_changes_beside_another(context: Root, tmp_path: Path) -> None:
    """A file whose status changed while it was read is left out of the table; others are in it."""
    for name in ("f", "g"):
        (tmp_path / "context" / name).write_bytes(b"abc")
    listing = _listed(context)
    os.utime(tmp_path / "context" / "f", ns=(5, 5))
    table = Fingerprints.load(tmp_path / "t")
    for at in range(2):
        table.read(OpenFiles(context), listing, at)
    table.save({b"": listing})
    assert _names(tmp_path / "t") == ["g"]


def test_endless_growth_is_not_followed(context: Root, tmp_path: Path) -> None:
    """Of a file that grew no more than its old size and a byte is read at a time, and then no more."""
    file = tmp_path / "context" / "f"
    file.write_bytes(b"abc")
    listing = _listed(context)
    os.truncate(file, 1 << 40)
    with pytest.raises(ContextError, match="changed"):
        Fingerprints.load(tmp_path / "t").read(OpenFiles(context), listing, 0)


def test_fifo_in_place_of_a_file(context: Root, tmp_path: Path) -> None:
    """A FIFO that took a file's place is refused at once, not waited for; so is a directory and a link."""
    file = tmp_path / "context" / "f"
    file.write_bytes(b"abc")
    listing = _listed(context)
    table = Fingerprints.load(tmp_path / "t")
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ContextError, match="named pipe"):
        table.read(OpenFiles(context), listing, 0)
    file.unlink()
    os.symlink("/etc/passwd", file)
    with pytest.raises(ContextError):
        table.read(OpenFiles(context), listing, 0)
    file.unlink()
    file.mkdir()
    with pytest.raises(ContextError):
        table.read(OpenFiles(context), listing, 0)


def test_missing_file_is_plain(context: Root, tmp_path: Path) -> None:
    """A file that went away is a ContextError."""
    (tmp_path / "context" / "f").write_bytes(b"abc")
    listing = _listed(context)
    os.unlink(tmp_path / "context" / "f")
    with pytest.raises(ContextError, match="cannot read f"):
        Fingerprints.load(tmp_path / "t").read(OpenFiles(context), listing, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        b"[" * 100_000,
        b"[]",
        b'{"version":1,"paths":["f"],"facts":["3"],"digests":["x"]}',
        b'{"version":3}\n""\n[["f"],["FACTS"],["DIGEST"]]\n',
        b'{"version":2}\n',
        b'{"version":2}\n[["f"],["FACTS"],["DIGEST"]]\n',
        b'{"version":2}\n""\n[["f"],["FACTS"],["DIGE',
        b'{"version":2}\n""\n[["f"],["FACTS"]]\n',
        b'{"version":2}\n""\n[["f"],["FACTS"],[]]\n',
        b'{"version":2}\n""\n[["f"],["FACTS"],[5]]\n',
        b'{"version":2}\n""\n[["f"],["FACTS"],["../../x"]]\n',
        b'{"version":2}\n""\n[["f"],["FACTS"],["abcd"]]\n',
        b'{"version":2}\n""\n[["f"],["3"],["DIGEST"]]\n',
        b'{"version":2}\n""\n[[["f"]],["FACTS"],["DIGEST"]]\n',
        b'{"version":2}\n""\n5\n',
        b'{"version":2}\n"d"\n[["../f"],["FACTS"],["DIGEST"]]\n',
    ],
)
def test_damaged_table_is_an_empty_one(context: Root, tmp_path: Path, data: bytes) -> None:
    """A table that cannot be understood is as good as none, even where it has a file's facts."""
    (tmp_path / "context" / "f").write_bytes(b"abc")
    facts = _listed(context).facts(0)
    (tmp_path / "t").write_bytes(data.replace(b"FACTS", facts.encode()).replace(b"DIGEST", b"0f" * 32))
    assert _digest(context, Fingerprints.load(tmp_path / "t")) == _sha256(b"abc")


@pytest.mark.usefixtures("no_wait")
def test_rows_of_other_files_stay(context: Root, tmp_path: Path) -> None:
    """A build that reads one file does not forget the others, of this directory or another, odd names among them."""
    listings = {}
    for name in (b"a", b"\xff", b"\xfe/b"):
        path = tmp_path / "context" / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name)
    for directory, at in ((b"", 0), (b"\xfe", 0), (b"", 2)):
        table = Fingerprints.load(tmp_path / "t")
        listings[directory] = _listed(context, directory)
        table.recall(directory, listings[directory])
        table.read(OpenFiles(context), listings[directory], at)
        for _ in range(2):
            table.save({directory: listings[directory]})
    table = Fingerprints.load(tmp_path / "t")
    for directory, known in ((b"", [b"a", b"", b"\xff"]), (b"\xfe", [b"\xfe/b"])):
        listing = _listed(context, directory)
        table.recall(directory, listing)
        assert [listing.digest(at) for at in range(len(known))] == [_sha256(name) if name else "" for name in known]
    assert os.stat(tmp_path / "t").st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["context", "t"]


@pytest.mark.usefixtures("no_wait")
def test_rows_of_files_that_are_gone(context: Root, tmp_path: Path) -> None:
    """Of a directory that was listed only what is there stays."""
    for name in ("a", "b", "c"):
        (tmp_path / "context" / name).write_bytes(b"")
    listing = _listed(context)
    table = Fingerprints.load(tmp_path / "t")
    for at in range(3):
        table.read(OpenFiles(context), listing, at)
    table.save({b"": listing})
    (tmp_path / "context" / "a").unlink()
    (tmp_path / "context" / "b").write_bytes(b"new")
    listing = _listed(context)
    table = Fingerprints.load(tmp_path / "t")
    table.recall(b"", listing)
    assert [listing.digest(at) for at in range(2)] == ["", _sha256(b"")]
    table.read(OpenFiles(context), listing, 0)
    table.save({b"": listing})
    assert _names(tmp_path / "t") == ["b", "c"]


@pytest.mark.usefixtures("no_wait")
def test_large_directory_takes_several_lines(context: Root, tmp_path: Path) -> None:
    """A line has a thousand rows at most, so that a directory of any size is parsed a piece at a time."""
    for number in range(2100):
        os.close(os.open(tmp_path / "context" / f"{number}", os.O_CREAT | os.O_WRONLY))
    listing = _listed(context)
    table = Fingerprints.load(tmp_path / "t")
    for at in range(2100):
        table.read(OpenFiles(context), listing, at)
    table.save({b"": listing})
    assert len((tmp_path / "t").read_bytes().splitlines()) == 2 + 3
    again = _listed(context)
    Fingerprints.load(tmp_path / "t").recall(b"", again)
    assert all(map(again.digest, range(2100)))


@pytest.mark.usefixtures("no_wait")
def test_half_a_table_of_a_killed_process_is_no_hindrance(context: Root, tmp_path: Path) -> None:
    """What a killed process left beside the table is written over, and never read."""
    (tmp_path / "context" / "f").write_bytes(b"abc")
    (tmp_path / "t.new").write_bytes(b"x" * 10_000)
    _saved(context, tmp_path / "t")
    assert _names(tmp_path / "t") == ["f"]
    assert not (tmp_path / "t.new").exists()


@pytest.mark.usefixtures("no_wait")
def test_table_that_cannot_be_written_is_no_error(context: Root, tmp_path: Path) -> None:
    """A table without a place costs the table, not the build."""
    (tmp_path / "context" / "f").write_bytes(b"abc")
    _saved(context, tmp_path / "no" / "t")
    assert not (tmp_path / "no").exists()
