"""Settling: layers of steps have names before they are on the disk, and a barrier comes before anything leads there."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.store import Store, settling
from builder.store.settling import boot_id, mark_of_crash
from builder.values.digest import DiffId, Digest
from builder.values.image import MEDIA_MANIFEST, Descriptor
from builder.values.record import LayerRecord
from builder.values.reference import Reference

DATA = b"a layer"
DIGEST = Digest.of(DATA)
DIFF_ID = DiffId(DIGEST.hex)


def made(store: Store) -> Path:
    """A layer as a step makes it; its blob's file."""
    blob, index = store.blobs.temporary(), store.blobs.temporary()
    blob.write_bytes(DATA)
    index.write_text(f'{{"version":1,"diff_id":"{DIFF_ID}"}}\n')
    store.blobs.adopt_made(blob, DIGEST)
    store.layers.adopt_index(index, DIFF_ID)
    store.layers.put(LayerRecord(DIFF_ID, Descriptor("application/x", DIGEST, len(DATA))))
    return store.root / "blobs" / "sha256" / DIGEST.hex


def is_settled(path: Path) -> bool:
    return not path.stat().st_mode & stat.S_ISVTX


def marks(store: Store) -> list[str]:
    return os.listdir(store.root / "pybuild" / "unsettled")


def name_an_image(store: Store) -> None:
    document = b"{}"
    store.images.tag(Reference.parse("app:1"), Descriptor(MEDIA_MANIFEST, store.blobs.put(document), len(document)))


def test_a_layer_is_there_before_it_is_settled(store: Store) -> None:
    """What a step made is found at once, and a mark says that the disk may not have it."""
    blob = made(store)
    assert not is_settled(blob) and store.blobs.has(DIGEST) and store.layers.find(DIFF_ID) is not None
    (mark,) = marks(store)
    assert mark.endswith(boot_id()) and not mark_of_crash(mark)


def test_naming_an_image_is_a_barrier(store: Store) -> None:
    """Before index.json changes, blobs and indexes are on the disk."""
    blob = made(store)
    name_an_image(store)
    assert is_settled(blob) and is_settled(store.layers.index_path(DIFF_ID))


def test_closing_is_a_barrier(tmp_path: Path) -> None:
    """A build without a name settles at its end, and takes its mark away."""
    with Store.open(tmp_path / "store") as store:
        blob = made(store)
    assert is_settled(blob) and marks(store) == []


def test_what_a_killed_process_made_is_settled_by_who_uses_it(store: Store) -> None:
    """A layer that another process of this boot left unsettled is synced before an image with it has a name."""
    blob = made(store)
    store._session._settling._waiting.clear()  # as if killed: the file has its mode, nobody remembers it
    with Store.open(store.root) as other:
        assert other.layers.find(DIFF_ID) is not None
        name_an_image(other)
    assert is_settled(blob)


def test_a_blob_that_is_there_is_replaced_by_one_on_the_disk(store: Store) -> None:
    """Where a name may lead to a blob already, a second one takes its place only when it is synced."""
    made(store)
    name_an_image(store)
    assert is_settled(made(store))


def test_settling_what_was_removed(store: Store) -> None:
    """A layer that went away before the barrier is nobody's problem."""
    made(store).unlink()
    name_an_image(store)


@pytest.mark.parametrize(("name", "expected"), [("00.other-boot", True), (f"00.{boot_id()}", False)])
def test_marks_of_a_crash(name: str, expected: bool) -> None:
    """Marks of other boots tell of a crash."""
    assert mark_of_crash(name) is expected


def test_boots_that_cannot_be_told_apart(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the number of the boot nothing waits for the barrier, since no mark could tell of a crash."""
    monkeypatch.setattr(settling, "boot_id", lambda: settling.UNKNOWN_BOOT)
    assert is_settled(made(store)) and marks(store) == []


def test_a_disk_that_fails_leaves_the_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a barrier failed no image is named, and the next boot proves what there is."""

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "")

    store = Store.open(tmp_path / "store")
    manifest = Descriptor(MEDIA_MANIFEST, store.blobs.put(b"{}"), 2)
    made(store)
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", fail)
        with pytest.raises(StoreError, match="cannot put what was made on the disk"):
            store.images.tag(Reference.parse("app:1"), manifest)
    assert store.images.all() == []
    store.close()
    assert len(marks(store)) == 1


def test_what_the_disk_refused_is_never_taken_for_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second sync of a file finds nothing wrong, in whatever process: so the file is put aside, and made anew."""
    store = Store.open(tmp_path / "store")
    blob = made(store)
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", refusing(blob))
        with pytest.raises(StoreError, match="no space left"):
            store.settle()
    assert not blob.exists() and store.layers.find(DIFF_ID) is None
    store.settle()
    assert is_settled(store.layers.index_path(DIFF_ID))  # what was not tried is not forgotten
    store.close()
    assert len(marks(store)) == 1


def test_what_a_name_leads_to_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blob that was synced before it took the place of another one is not put aside, whatever the barrier meets."""
    made(store)
    name_an_image(store)
    blob = made(store)
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", refusing(blob))
        with pytest.raises(StoreError, match="no space left"):
            store.settle()
    assert store.layers.find(DIFF_ID) is not None


def refusing(path: Path) -> Callable[[int], None]:
    """An fsync(2) that fails for this file alone."""
    number, sync = path.stat().st_ino, os.fsync

    def refuse(fd: int) -> None:
        if os.fstat(fd).st_ino == number:
            raise OSError(errno.ENOSPC, "")
        sync(fd)

    return refuse


@pytest.mark.parametrize("refusal", [PermissionError(errno.EPERM, ""), None], ids=["refused", "forgotten"])
def test_a_file_system_without_the_bit(store: Store, monkeypatch: pytest.MonkeyPatch, refusal: OSError | None) -> None:
    """Where no file can have the bit, whether that is said or not, layers are synced before they have their names."""
    chmod, sync, synced = os.chmod, os.fsync, set()

    def without(path: Path, mode: int) -> None:
        if mode & stat.S_ISVTX and refusal is not None:
            raise refusal
        chmod(path, mode & ~stat.S_ISVTX)

    def noting(fd: int) -> None:
        synced.add(os.fstat(fd).st_ino)
        sync(fd)

    monkeypatch.setattr(os, "chmod", without)
    monkeypatch.setattr(os, "fsync", noting)
    assert made(store).stat().st_ino in synced


def test_a_name_that_came_meanwhile_is_kept_by_what_is_on_the_disk(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two builds that make the same layer at once, the later one never puts something unsettled over the other's."""
    first = made(store)
    store.settle()
    monkeypatch.setattr(os.path, "lexists", lambda _: False)  # as it was when the later one looked
    assert made(store) == first and is_settled(first)


def test_a_thread_that_is_left_behind_keeps_the_mark(tmp_path: Path) -> None:
    """What gets its name while the store is closed is told of by the mark, since nobody settles it."""
    store = Store.open(tmp_path / "store")
    temporary, final = store.blobs.temporary(), store.root / "blobs" / "sha256" / DIGEST.hex
    temporary.write_bytes(DATA)
    with store._session._settling.naming("room", temporary, final, 0o444):
        store.close()
    assert len(marks(store)) == 1


def test_a_layer_in_another_compression_is_settled_too(store: Store) -> None:
    """The blob that a record of a compression leads to is expected like that of a layer's own record."""
    blob = made(store)
    store.variants.put(DIFF_ID, "zstd", Descriptor("application/x", DIGEST, len(DATA)))
    store._session._settling._waiting.clear()
    with Store.open(store.root) as other:
        assert other.variants.find(DIFF_ID, "zstd") is not None
        name_an_image(other)
    assert is_settled(blob)
