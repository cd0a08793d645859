"""The store as a whole: opening, versions, hostile places, sudden death, full disks."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.kernel.run_in_namespace import run_in_namespace
from builder.store import Store
from builder.store.check import check
from builder.values.key import key_of
from builder.values.mount import Sharing
from builder.values.record import StepRecord

_BUSY = """
import itertools, os, sys
from pathlib import Path
from builder.store import Store
from builder.values.digest import ChainId, DiffId
from builder.values.image import MEDIA_LAYER, MEDIA_MANIFEST, Descriptor
from builder.values.key import CacheKey
from builder.values.record import LayerRecord, StepRecord
from builder.values.reference import Reference
store = Store.open(Path(sys.argv[1]))
print("open", flush=True)
for number in itertools.count():
    data = b"%s %d" % (os.urandom(8), number)
    blob, index = store.blobs.temporary(), store.blobs.temporary()
    blob.write_bytes(data)
    digest, diff_id = store.blobs.put(data), DiffId.of(data)
    index.write_text('{"version":1,"diff_id":"%s"}\\n' % diff_id)
    store.blobs.adopt(blob, digest)
    store.layers.adopt_index(index, diff_id)
    store.layers.put(LayerRecord(diff_id, Descriptor(MEDIA_LAYER, digest, len(data))))
    store.records.put(CacheKey(DiffId.of(data + b"key").hex), StepRecord(diff_id))
    tree = store.snapshots.scratch() / "fs"
    tree.mkdir()
    store.snapshots.publish(tree, ChainId.of(data))
    manifest = store.blobs.put(b'{"layers":[]}' + b" " * number)
    store.images.tag(Reference.parse("app:%d" % (number % 5)), Descriptor(MEDIA_MANIFEST, manifest, 13 + number))
"""


def test_new_store_is_an_oci_layout(tmp_path: Path) -> None:
    """A new store holds what an image layout must hold, and is nobody else's business."""
    with Store.open(tmp_path / "deep" / "store") as store:
        assert json.loads((store.root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
        assert json.loads((store.root / "index.json").read_bytes())["manifests"] == []
        assert (store.root / "blobs" / "sha256").is_dir()
        assert json.loads((store.root / "pybuild" / "version").read_bytes()) == {"version": 1}
        assert os.stat(store.root).st_mode & 0o777 == 0o700
        assert os.stat(store.root / "pybuild").st_mode & 0o777 == 0o700
        assert check(store) == []


def test_store_in_a_directory_that_is_there(tmp_path: Path) -> None:
    """A directory with a README in it becomes a store; its own mode is kept, ours inside is private."""
    (tmp_path / "README.md").write_text("about")
    os.chmod(tmp_path, 0o755)
    with Store.open(tmp_path):
        assert os.stat(tmp_path).st_mode & 0o777 == 0o755
        assert os.stat(tmp_path / "pybuild").st_mode & 0o777 == 0o700
        assert os.stat(tmp_path / "blobs").st_mode & 0o777 == 0o700


def test_somebodys_directory_is_refused(tmp_path: Path) -> None:
    """A directory with other things in it is not taken over, and nothing is made in it."""
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(StoreError, match=r"not empty.*thesis\.tex") as caught:
        Store.open(tmp_path)
    assert caught.value.hint
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_layout_of_another_tool_becomes_a_store(tmp_path: Path) -> None:
    """An image layout that another tool made is taken over with its images."""
    index = b'{"schemaVersion":2,"manifests":[{"odd":1}]}'
    (tmp_path / "index.json").write_bytes(index)
    (tmp_path / "oci-layout").write_bytes(b'{"imageLayoutVersion": "1.0.0"}')
    with Store.open(tmp_path):
        assert (tmp_path / "index.json").read_bytes() == index


def test_newer_store_is_refused(tmp_path: Path) -> None:
    """A store of a newer pybuild is left alone, with a hint."""
    (tmp_path / "pybuild").mkdir()
    (tmp_path / "pybuild" / "version").write_text('{"version":2}')
    with pytest.raises(StoreError, match="made by a newer pybuild") as caught:
        Store.open(tmp_path)
    assert caught.value.hint
    assert os.listdir(tmp_path / "pybuild") == ["version"]


@pytest.mark.parametrize("text", ["", "{}", '{"version":"1"}', '{"version":0}', "\0\0", "[1]"])
def test_damaged_version_is_plain(tmp_path: Path, text: str) -> None:
    """A version file that says nothing is damage, and nothing is changed."""
    (tmp_path / "pybuild").mkdir()
    (tmp_path / "pybuild" / "version").write_text(text)
    with pytest.raises(StoreError, match="version is damaged"):
        Store.open(tmp_path)


def test_interrupted_making_is_finished(tmp_path: Path) -> None:
    """A store whose first opening was cut short is completed by the next."""
    (tmp_path / "pybuild" / "tmp" / "half").mkdir(parents=True)
    with Store.open(tmp_path) as store:
        assert check(store) == []
        assert len(store.trash()) == 1


def test_file_in_place_of_a_store(tmp_path: Path) -> None:
    """A path that is a file, or leads through one, is a StoreError with a hint."""
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(StoreError, match="cannot open the store") as caught:
            Store.open(path)
        assert caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_place_is_plain(tmp_path: Path) -> None:
    """A place that may not be written to is a StoreError with a hint."""
    os.chmod(tmp_path, 0o555)
    with pytest.raises(StoreError, match="Permission denied") as caught:
        Store.open(tmp_path / "store")
    assert caught.value.hint


def test_proc_is_no_place_for_a_store() -> None:
    """Even for root there are places where nothing can be made."""
    with pytest.raises(StoreError, match="cannot open the store"):
        Store.open(Path("/proc/pybuild-store"))


def test_fingerprint_paths_differ(store: Store) -> None:
    """Each context has its own table, in the store."""
    one = store.fingerprint_path(Path("/a"))
    assert one != store.fingerprint_path(Path("/b"))
    assert one.parent == store.root / "pybuild" / "fingerprints"


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    """A store can be closed again."""
    store = Store.open(tmp_path / "s")
    store.close()
    store.close()


def test_opening_is_quick(tmp_path: Path) -> None:
    """Opening a store that is there takes no noticeable time."""
    Store.open(tmp_path / "s").close()
    fastest = 1.0
    for _ in range(10):
        before = time.perf_counter()
        Store.open(tmp_path / "s").close()
        fastest = min(fastest, time.perf_counter() - before)
    assert fastest < 0.005


def test_sudden_death_leaves_a_clean_store(tmp_path: Path) -> None:
    """Two busy builds are killed at random instants, again and again; the next command works and finds no damage."""
    root = tmp_path / "store"
    chance = random.Random(5)
    for _ in range(6):
        builds = [subprocess.Popen([sys.executable, "-c", _BUSY, str(root)], stdout=subprocess.PIPE) for _ in "ab"]
        for build in builds:
            assert build.stdout is not None and build.stdout.readline() == b"open\n"
        time.sleep(chance.random() * 0.15)
        for build in builds:
            build.kill()
            build.wait()
            assert build.stdout is not None
            build.stdout.close()
        with Store.open(root) as store:
            assert check(store) == []
            assert len(os.listdir(root / "pybuild" / "tmp")) == 1  # ours
            for path in store.trash():
                shutil.rmtree(path)
    assert len(os.listdir(root / "blobs" / "sha256")) > 10


def test_death_while_opening_leaves_a_clean_store(tmp_path: Path) -> None:
    """A first opening that is killed at any instant can be taken up by the next."""
    chance = random.Random(7)
    for number in range(6):
        root = tmp_path / str(number)
        opening = subprocess.Popen([sys.executable, "-c", _OPENING, str(root)], stdout=subprocess.PIPE)
        assert opening.stdout is not None and opening.stdout.readline()
        time.sleep(chance.random() * 0.004)
        opening.kill()
        opening.wait()
        opening.stdout.close()
        with Store.open(root) as store:
            assert check(store) == []


_OPENING = """
import sys
from pathlib import Path
from builder.store import Store
print("now", flush=True)
Store.open(Path(sys.argv[1]))
"""

_FULL = """
import os, subprocess, sys
from pathlib import Path
from builder.errors import StoreError
from builder.store import Store
from builder.store.check import check
from builder.values.digest import Digest, DiffId
from builder.values.image import MEDIA_LAYER, MEDIA_MANIFEST, Descriptor
from builder.values.key import key_of
from builder.values.record import LayerRecord, StepRecord
from builder.values.reference import Reference
place = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], check=True)

def refused(act):
    try:
        act()
    except StoreError as error:
        assert "no space left" in error.message and error.hint, error.message
        return True
    return False

store = Store.open(place / "store")
store.images.tag(Reference.parse("kept:1"), Descriptor(MEDIA_MANIFEST, store.blobs.put(b"{}"), 2))
kept = [store.blobs.put(os.urandom(60000)) for _ in range(5)]
assert refused(lambda: [store.blobs.put(os.urandom(50000)) for _ in range(10)])
filler = place / "filler"
with open(filler, "wb", buffering=0) as file:
    try:
        while file.write(b"x" * 4096):
            pass
    except OSError:
        pass
tag = lambda: store.images.tag(Reference.parse("app:1"), Descriptor(MEDIA_MANIFEST, Digest.of(b"{}"), 2))
assert refused(tag)
assert refused(lambda: store.records.put(key_of("run", 1), StepRecord(None)))
assert refused(lambda: store.layers.put(LayerRecord(DiffId.of(b"x"), Descriptor(MEDIA_LAYER, kept[0], 60000))))
assert refused(lambda: Store.open(place / "new")), "a new store"
assert [image.name for image in store.images.all()] == ["docker.io/library/kept:1"]
assert check(store) == [], check(store)
store.close()
filler.unlink()
with Store.open(place / "store") as store:
    tag()
    store.records.put(key_of("run", 1), StepRecord(None))
    assert check(store) == []
    assert len(store.images.all()) == 2
with Store.open(place / "new") as store:
    assert check(store) == []
print("all is well")
"""


@pytest.mark.kernel
def test_full_disk(tmp_path: Path) -> None:
    """On a full disk everything that writes says so, nothing is lost, and with room again everything works."""
    command = ["unshare", "-Urm", sys.executable, "-c", _FULL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "all is well\n", done.stderr


def test_a_store_is_ones_own_whatever_the_umask(tmp_path: Path) -> None:
    """Nobody else can look into it or write to it, nor to the directories made on the way to it."""
    for mask in (0, 0o077):
        before = os.umask(mask)
        try:
            root = tmp_path / str(mask) / "deep" / "store"
            with Store.open(root) as store:
                store.blobs.put(b"data")
                store.records.put(key_of("run", 1), StepRecord(None))
                store.caches.lock("id", Sharing.SHARED).lock.release()
                modes = {path: path.lstat().st_mode for path in (root.parent, root, *root.rglob("*"))}
        finally:
            os.umask(before)
        assert {stat.S_IMODE(mode) for mode in modes.values() if stat.S_ISDIR(mode)} == {0o700}
        assert {stat.S_IMODE(mode) for mode in modes.values() if not stat.S_ISDIR(mode)} <= {0o600, 0o444}


def test_others_lose_the_right_to_write(tmp_path: Path) -> None:
    """A directory of ours that all may write to becomes ours alone to change when it becomes a store."""
    root = tmp_path / "store"
    root.mkdir()
    root.chmod(0o777)
    Store.open(root).close()
    assert root.stat().st_mode & 0o777 == 0o755


def test_what_others_could_write_is_not_trusted(tmp_path: Path) -> None:
    """Somebody has opened the cache to others: what is in it may be anybody's."""
    Store.open(tmp_path / "store").close()
    (tmp_path / "store" / "pybuild" / "steps").chmod(0o777)
    with pytest.raises(StoreError, match="other users can write into the store"):
        Store.open(tmp_path / "store")


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("os.chown(root, 33, 33)", "is not yours"),
        ("os.chown(root + '/pybuild', 33, 33)", "is not yours"),
        ("os.chown(root + '/pybuild/steps', 33, 33)", "is not all yours"),
        ("os.chown(root + '/blobs', 33, 33)", "is not all yours"),
    ],
)
def test_the_store_of_another_user_is_refused(
    owned_by: Callable[[str, Path], None], change: str, words: str, tmp_path: Path
) -> None:
    """Its owner could have put anything into the cache; the error names the path and what to do."""
    root = tmp_path / "store"
    Store.open(root).close()
    owned_by(change, root)
    with pytest.raises(StoreError, match=words) as caught:
        Store.open(root)
    assert "belongs to the user" in caught.value.message
    assert caught.value.hint is not None and "--root" in caught.value.hint


@pytest.mark.kernel
def test_a_way_that_others_may_change_is_refused(owned_by: Callable[[str, Path], None], tmp_path: Path) -> None:
    """A link of somebody else's, and a directory of theirs that all may write to; a sticky one is fine."""
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o777)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    owned_by("os.chown(root, 33, 33)", place)
    owned_by("os.lchown(root, 33, 33)", link)
    for root in (place / "store", link / "store", link):
        with pytest.raises(StoreError, match="leads through what is not yours"):
            Store.open(root)
    owned_by("os.chmod(root, 0o1777)", place)
    Store.open(place / "store").close()


@pytest.fixture
def owned_by() -> Iterator[Callable[[str, Path], None]]:
    """Does something to a path as root of the namespaces, where there are other users; undone at the end."""
    changed: list[Path] = []

    def change(what: str, path: Path) -> None:
        changed.append(path)
        words = [sys.executable, "-c", f"import os, sys; root = sys.argv[1]; {what}", str(path)]
        assert run_in_namespace(words, dict(os.environ)) == 0

    yield change
    for path in changed:
        words = ["chown", "-hR", "0:0", str(path)]
        run_in_namespace(words, dict(os.environ))
