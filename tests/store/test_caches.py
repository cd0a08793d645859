"""Cache mounts and their sharing."""

from __future__ import annotations

import os
import threading

import pytest

from builder.store import Store
from builder.store.caches import Sharing


@pytest.mark.parametrize("id", ["", "..", "../../../etc", "/etc/passwd", "a\0b", "\udcff", "x" * 10_000, "go"])
def test_every_id_is_only_a_name(store: Store, id: str) -> None:  # noqa: A002
    """Whatever an id says, its directory is in the caches' folder (CVE-2024-9675)."""
    directory = store.caches.directory(id)
    assert directory.parent.parent == store.root / "pybuild" / "caches"
    assert directory.parent.is_dir() and not directory.exists()
    assert store.caches.directory(id) == directory
    assert store.caches.directory(id + "x") != directory


def test_shared_users_use_one_directory_at_once(store: Store) -> None:
    """Shared users do not wait for each other."""
    one = store.caches.lock("id", Sharing.SHARED)
    two = store.caches.lock("id", Sharing.SHARED)
    assert one.directory == two.directory == store.caches.directory("id")
    one.lock.release()
    two.lock.release()


def test_locked_users_wait(store: Store) -> None:
    """A locked user waits until the one before has ended."""
    one = store.caches.lock("id", Sharing.LOCKED)
    waited = threading.Event()
    got = threading.Event()

    def second() -> None:
        with store.caches.lock("id", Sharing.LOCKED, waited.set).lock:
            got.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert waited.wait(10) and not got.is_set()
    one.lock.release()
    thread.join(10)
    assert got.is_set()


def test_locked_waits_for_shared(store: Store) -> None:
    """A locked user waits for shared ones too; the wait can be ended."""

    def give_up() -> None:
        raise KeyboardInterrupt

    with store.caches.lock("id", Sharing.SHARED).lock, pytest.raises(KeyboardInterrupt):
        store.caches.lock("id", Sharing.LOCKED, give_up)


def test_private_users_get_directories_of_their_own(store: Store) -> None:
    """While a cache is in use a private user gets a fresh one; a free one is used again."""
    leases = [store.caches.lock("id", Sharing.PRIVATE) for _ in range(3)]
    assert [lease.directory.name for lease in leases] == ["0", "1", "2"]
    leases[1].lock.release()
    again = store.caches.lock("id", Sharing.PRIVATE)
    assert again.directory == leases[1].directory
    for lease in (leases[0], leases[2], again):
        lease.lock.release()


def test_caches_of_different_ids_are_independent(store: Store) -> None:
    """Locks of one cache do not concern another."""
    with store.caches.lock("a", Sharing.LOCKED).lock, store.caches.lock("b", Sharing.LOCKED).lock:
        pass


def test_the_id_can_be_read_by_people(store: Store) -> None:
    """A cache says what id it belongs to."""
    home = store.caches.directory("go build").parent
    assert b'"go build"' in (home / "id").read_bytes()
    assert os.stat(home).st_mode & 0o777 == 0o700
