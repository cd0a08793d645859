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
from builder.tree.safe import Root
from builder.tree.scan import OpenFiles, Scanned, list_directory, open_context


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


def _only(root: Root) -> Scanned:
    (scanned,) = list_directory(root, b"").values()
    return scanned


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
    assert Fingerprints.load(tmp_path / "t").digest_of(OpenFiles(context), _only(context)) == _sha256(data)


def test_empty_file(context: Root, tmp_path: Path) -> None:
    """An empty file has the digest of nothing."""
    (tmp_path / "context" / "f").write_bytes(b"")
    assert Fingerprints.load(tmp_path / "t").digest_of(OpenFiles(context), _only(context)) == _sha256(b"")


@pytest.mark.usefixtures("no_wait")
def test_unchanged_file_is_not_read(context: Root, tmp_path: Path) -> None:
    """A file that the table knows is not opened: its digest comes from the table."""
    (tmp_path / "context" / "f").write_bytes(b"abc")
    scanned = _only(context)
    table = Fingerprints.load(tmp_path / "t")
    table.digest_of(OpenFiles(context), scanned)
    table.save()
    os.unlink(tmp_path / "context" / "f")
    assert Fingerprints.load(tmp_path / "t").digest_of(OpenFiles(context), scanned) == _sha256(b"abc")


def test_fresh_file_is_not_remembered(context: Root, tmp_path: Path) -> None:
    """A file that changed within the clock's tick is read again next time, since a change could hide in the tick."""
    (tmp_path / "context" / "f").write_bytes(b"abc")
    table = Fingerprints.load(tmp_path / "t")
    table.digest_of(OpenFiles(context), _only(context))
    table.save()
    assert not (tmp_path / "t").exists()


def test_file_at_rest_is_remembered(context: Root, tmp_path: Path) -> None:
    """After two seconds at rest a file is remembered, whatever its mtime says."""
    (tmp_path / "context" / "f").write_bytes(b"abc")
    os.utime(tmp_path / "context" / "f", (2**33, 2**33))
    time.sleep(2.1)
    table = Fingerprints.load(tmp_path / "t")
    table.digest_of(OpenFiles(context), _only(context))
    table.save()
    assert json.loads((tmp_path / "t").read_bytes())["paths"] == ["f"]


@pytest.mark.usefixtures("no_wait")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.binary(max_size=3), st.binary(max_size=3), st.sampled_from(["write", "rename", "keep mtime", "truncate"]))
def test_every_change_is_seen(context: Root, tmp_path: Path, old: bytes, new: bytes, how: str) -> None:
    """However a file changes, its new digest is that of its content, even with the old size and mtime."""
    file = tmp_path / "context" / "f"
    file.write_bytes(old)
    before = os.stat(file)
    table = Fingerprints.load(tmp_path / "t")
    table.digest_of(OpenFiles(context), _only(context))
    table.save()
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
    assert Fingerprints.load(tmp_path / "t").digest_of(OpenFiles(context), _only(context)) == _sha256(new)


@pytest.mark.usefixtures("no_wait")
def test_file_that_changes_while_it_is_read(context: Root, tmp_path: Path) -> None:
    """A file that is not as it was scanned is not remembered; one of another size is an error."""
    file = tmp_path / "context" / "f"
    file.write_bytes(b"abc")
    scanned = _only(context)
    file.write_bytes(b"xyz")
    os.utime(file, ns=(5, 5))
    table = Fingerprints.load(tmp_path / "t")
    assert table.digest_of(OpenFiles(context), scanned) == _sha256(b"xyz")
    table.save()
    assert not (tmp_path / "t").exists()
    for data in (b"longer", b"s"):
        file.write_bytes(data)
        with pytest.raises(ContextError, match="changed while it was read"):
            table.digest_of(OpenFiles(context), scanned)


def test_endless_growth_is_not_followed(context: Root, tmp_path: Path) -> None:
    """Of a file that grew no more than its old size and a byte is read at a time, and then no more."""
    file = tmp_path / "context" / "f"
    file.write_bytes(b"abc")
    scanned = _only(context)
    os.truncate(file, 1 << 40)
    with pytest.raises(ContextError, match="changed"):
        Fingerprints.load(tmp_path / "t").digest_of(OpenFiles(context), scanned)


def test_fifo_in_place_of_a_file(context: Root, tmp_path: Path) -> None:
    """A FIFO that took a file's place is refused at once, not waited for; so is a directory and a link."""
    file = tmp_path / "context" / "f"
    file.write_bytes(b"abc")
    scanned = _only(context)
    table = Fingerprints.load(tmp_path / "t")
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ContextError, match="named pipe"):
        table.digest_of(OpenFiles(context), scanned)
    file.unlink()
    os.symlink("/etc/passwd", file)
    with pytest.raises(ContextError):
        table.digest_of(OpenFiles(context), scanned)
    file.unlink()
    file.mkdir()
    with pytest.raises(ContextError):
        table.digest_of(OpenFiles(context), scanned)


def test_missing_file_is_plain(context: Root, tmp_path: Path) -> None:
    """A file that went away is a ContextError."""
    (tmp_path / "context" / "f").write_bytes(b"abc")
    scanned = _only(context)
    os.unlink(tmp_path / "context" / "f")
    with pytest.raises(ContextError, match="cannot read f"):
        Fingerprints.load(tmp_path / "t").digest_of(OpenFiles(context), scanned)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        b"[" * 100_000,
        b"[]",
        b'{"version":2,"paths":[],"facts":[],"digests":[]}',
        b'{"version":1}',
        b'{"version":1,"paths":["f"],"facts":[],"digests":[]}',
        b'{"version":1,"paths":["f"],"facts":["3"],"digests":[5]}',
        b'{"version":1,"paths":["f"],"facts":["3"],"digests":["../../x"]}',
        b'{"version":1,"paths":[["f"]],"facts":["3"],"digests":["x"]}',
    ],
)
def test_damaged_table_is_an_empty_one(context: Root, tmp_path: Path, data: bytes) -> None:
    """A table that cannot be understood is as good as none."""
    (tmp_path / "t").write_bytes(data)
    (tmp_path / "context" / "f").write_bytes(b"abc")
    assert Fingerprints.load(tmp_path / "t").digest_of(OpenFiles(context), _only(context)) == _sha256(b"abc")


@pytest.mark.usefixtures("no_wait")
def test_rows_of_other_files_stay(context: Root, tmp_path: Path) -> None:
    """A build that asks for one file does not forget the others, odd names among them."""
    for name in (b"a", b"\xff"):
        (tmp_path / "context" / os.fsdecode(name)).write_bytes(name)
    both = list_directory(context, b"")
    for name in (b"a", b"\xff"):
        table = Fingerprints.load(tmp_path / "t")
        table.digest_of(OpenFiles(context), both[name])
        table.save()
        table.save()
    assert json.loads((tmp_path / "t").read_bytes())["paths"] == ["a", "\udcff"]
    assert os.stat(tmp_path / "t").st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["context", "t"]


@pytest.mark.usefixtures("no_wait")
def test_half_a_table_of_a_killed_process_is_no_hindrance(context: Root, tmp_path: Path) -> None:
    """What a killed process left beside the table is written over, and never read."""
    (tmp_path / "context" / "f").write_bytes(b"abc")
    (tmp_path / "t.new").write_bytes(b"x" * 10_000)
    table = Fingerprints.load(tmp_path / "t")
    table.digest_of(OpenFiles(context), _only(context))
    table.save()
    assert json.loads((tmp_path / "t").read_bytes())["paths"] == ["f"]
    assert not (tmp_path / "t.new").exists()


@pytest.mark.usefixtures("no_wait")
def test_table_that_cannot_be_written_is_no_error(context: Root, tmp_path: Path) -> None:
    """A table without a place costs the table, not the build."""
    (tmp_path / "context" / "f").write_bytes(b"abc")
    table = Fingerprints.load(tmp_path / "no" / "t")
    table.digest_of(OpenFiles(context), _only(context))
    table.save()
    assert not (tmp_path / "no").exists()


@pytest.mark.usefixtures("no_wait")
def test_known_files_are_quick(context: Root, tmp_path: Path) -> None:
    """Twenty thousand unchanged files are looked at in a fraction of a second."""
    for number in range(5000):
        (tmp_path / "context" / f"f{number}").write_bytes(b"")
    table = Fingerprints.load(tmp_path / "t")
    for scanned in list_directory(context, b"").values():
        table.digest_of(OpenFiles(context), scanned)
    table.save()
    before = time.process_time()
    table = Fingerprints.load(tmp_path / "t")
    for scanned in list_directory(context, b"").values():
        table.digest_of(OpenFiles(context), scanned)
    assert time.process_time() - before < 0.2  # of 5,000; measured: 0.03
