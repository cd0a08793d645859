"""Recovery: after a crash of the machine a store that had not settled all is sound, and knows what it still has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.store import Store
from builder.store.check import check
from tests.store.test_settling import DATA, DIFF_ID, DIGEST, is_settled, made, marks


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """A store as a crash of the machine leaves it while a build is under way: a layer, unsettled, of another boot."""
    store = Store.open(tmp_path / "store")
    made(store)
    (mark,) = marks(store)
    area = store.root / "pybuild" / "unsettled"
    os.rename(area / mark, area / (mark.partition(".")[0] + ".another-boot"))
    store._session._settling._waiting.clear()
    store.close()
    return store.root


def lose(path: Path, data: bytes) -> None:
    """Change what the disk has of a file; its mode stays."""
    mode = path.stat().st_mode
    path.chmod(0o600)
    path.write_bytes(data)
    path.chmod(mode & 0o7777)


def test_a_whole_layer_is_kept(crashed: Path) -> None:
    """A blob that has its digest is settled and found; its index is made anew by who needs it."""
    with Store.open(crashed) as store:
        assert store.layers.find(DIFF_ID) is not None and not store.layers.has_index(DIFF_ID)
        assert is_settled(crashed / "blobs" / "sha256" / DIGEST.hex)
        assert marks(store) == [] and check(store) == []


@pytest.mark.parametrize("data", [b"", DATA[:3], bytes(len(DATA))], ids=["empty", "short", "zeros"])
def test_a_damaged_layer_is_forgotten(crashed: Path, data: bytes) -> None:
    """A blob that lost content is not there any more, and the record of its layer leads nowhere."""
    lose(crashed / "blobs" / "sha256" / DIGEST.hex, data)
    with Store.open(crashed) as store:
        assert not store.blobs.has(DIGEST)
        assert store.layers.find(DIFF_ID) is None
        assert check(store) == []


def test_what_was_settled_is_not_read(crashed: Path) -> None:
    """Only unsettled blobs are proved: a store of a hundred gigabytes opens at once."""
    blob = crashed / "blobs" / "sha256" / DIGEST.hex
    lose(blob, b"")
    blob.chmod(0o444)
    with Store.open(crashed) as store:
        assert blob.exists() and marks(store) == []


def test_a_store_of_this_boot_is_left_alone(tmp_path: Path) -> None:
    """While the machine runs the kernel has what was written: nothing is proved, whoever was killed."""
    store = Store.open(tmp_path / "store")
    blob = made(store)
    lose(blob, b"")
    with Store.open(store.root):
        assert blob.exists()
    store.close()
