"""Snapshots: unpacked file trees under the chain-id of the layers they stand for.

A snapshot is `snapshots/<chain>/fs` beside a small `state` file. The wrapper around the tree is what gets renamed,
never the tree itself: moving a directory needs write permission *on it* (rename(2), its `..` changes), and the root
of an image may be read-only or belong to a sub-id.

Trees are not synced: syncing 2,000 files costs a quarter of a second, and a snapshot can always be made again from
its blobs. `state` therefore remembers the boot it was made in. kill -9 loses nothing, since the kernel still writes
everything; after a crash of the machine the boot is another one, and a tree that nobody settled is made anew.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from builder.errors import StoreError
from builder.store import files, sizes
from builder.store.session import Session
from builder.store.settling import boot_id
from builder.values.digest import ChainId, DiffId

SNAPSHOT_VERSION = 1
SETTLED = "settled"
"""Instead of a boot: the tree is known to be on the disk."""
_TREE = "fs"


class Snapshots:
    """The snapshots of a store, and the scratch directories where new ones are made."""

    def __init__(self, area: Path, session: Session, ids: str = "") -> None:
        self._directory = area / "snapshots"
        self._area = area
        self._session = session
        self._boot = boot_id()
        self._suffix = f"-{ids}" if ids else ""
        self._within: dict[str, Snapshots] = {}
        self._found: dict[ChainId, Path] = {}

    def within(self, ids: str) -> Snapshots:
        """The snapshots whose files have the owners that `ids` (a name of the ids mapped inside) gives them.

        The same layer unpacked over other ids is another tree on the disk: what is 0:33 inside has another owner
        outside, or, with a single id, only a note of it.
        """
        found = self._within.get(ids)
        if found is None:  # of two threads that come first one is wasted, and no harm
            found = self._within[ids] = Snapshots(self._area, self._session, ids)
        return found

    def _wrapper(self, chain: ChainId) -> Path:
        return self._directory / (chain.hex + self._suffix)

    def find(self, chain: ChainId) -> Path | None:
        """The directory of the file tree, which stays while the store is open, or None. Raises StoreError."""
        tree = self._found.get(chain)
        if tree is None or not os.path.isdir(tree):  # a build with 200 steps asks for the lowest one 200 times
            tree = self._looked_up(chain)
        if tree is not None:
            self._found[chain] = tree
        return tree

    def _looked_up(self, chain: ChainId) -> Path | None:
        wrapper = self._wrapper(chain)
        self._session.use(wrapper / "state")
        if not os.path.isdir(wrapper / _TREE):
            return None
        if self._boot_of(wrapper) not in (self._boot, SETTLED):
            self._session.to_trash(wrapper)
            return None
        return wrapper / _TREE

    def scratch(self) -> Path:
        """A new private directory on the snapshots' file system; what is in it is the caller's. Raises StoreError."""
        return self._session.scratch()

    def publish(
        self, directory: Path, chain: ChainId, layer: DiffId | None = None, room_bytes: int | None = None
    ) -> Path:
        """Make a finished tree the snapshot of `chain`, whose uppermost layer is `layer`; returns where the tree is
        from now on.

        `directory` is a directory inside a `scratch()` (whose other contents go to the trash), or a scratch that holds
        the tree as `fs`. `room_bytes` is what it takes on the disk; where it is not known the layer's index is asked.
        Where another build was first, ours goes to the trash and theirs is returned. Raises
        StoreError, and ValueError for a directory that is in no scratch.
        """
        scratch, tree = self._parts(directory)
        with files.plain_errors("cannot keep a snapshot"):
            for name in os.listdir(scratch):
                if name != tree.name:
                    self._session.to_trash(scratch / name)
            os.rename(tree, scratch / _TREE)
            files.write_file(scratch / "state", self._state(layer, room_bytes))
        return self._publish(scratch, chain)

    def _publish(self, scratch: Path, chain: ChainId) -> Path:
        wrapper = self._wrapper(chain)
        for _ in range(10):
            theirs = self.find(chain)  # also clears away one that cannot be trusted
            if theirs is not None:
                self._session.to_trash(scratch)
                return theirs
            try:
                self._session.publish(scratch, wrapper, clock=scratch / "state")
                return wrapper / _TREE
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise files.store_error("cannot keep a snapshot", error) from error
                if not os.path.isdir(wrapper / _TREE):
                    self._session.to_trash(wrapper)
        raise StoreError(f"cannot keep snapshot {chain}: its place keeps being taken")

    def settle(self) -> int:
        """Put all trees on the disk, so that they outlive a crash of the machine; how many were not there yet.

        Takes as long as the disk needs (syncfs(2)): for idle moments, not for the way of a build. Raises StoreError.
        """
        from builder.kernel.syscalls import syncfs

        with files.plain_errors("cannot sync the snapshots"):
            names = sorted(os.listdir(self._directory))
            unsettled = [name for name in names if self._boot_of(self._directory / name) == self._boot]
            if unsettled:
                fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    syncfs(fd)
                finally:
                    os.close(fd)
            for name in unsettled:
                self._mark_settled(self._directory / name)
        return len(unsettled)

    def _state(self, layer: DiffId | None, room_bytes: int | None) -> bytes:
        """What `prune` and `du` want to know is measured now: later it would take the worker."""
        document: dict[str, files.JsonValue] = {"version": SNAPSHOT_VERSION, "boot": self._boot}
        if layer is not None:
            document["layer"] = str(layer)
            if room_bytes is None:
                size = sizes.of_unpacked(self._area / "indexes" / layer.hex)
                room_bytes = size.size_bytes if size.whole else None
            if room_bytes is not None:
                document["size"] = room_bytes
        return files.encode(document)

    def _mark_settled(self, wrapper: Path) -> None:
        with self._session.finding():
            try:
                used_ns = os.stat(wrapper / "state").st_mtime_ns
                state = files.read_record(wrapper / "state", SNAPSHOT_VERSION)
            except FileNotFoundError:
                return  # it went away meanwhile
            temporary = self._session.temporary()
            files.write_file(temporary, files.encode({**(state or {}), "version": SNAPSHOT_VERSION, "boot": SETTLED}))
            os.utime(temporary, ns=(used_ns, used_ns))  # settling is no use
            os.rename(temporary, wrapper / "state")

    def discard(self, directory: Path) -> None:
        """Move a scratch, or a tree that proved bad (as `find` gave it), to the trash. Raises StoreError."""
        inside = directory.parent.parent == self._directory or self._session.owns(directory.parent)
        self._session.to_trash(directory.parent if inside else directory)

    def _parts(self, directory: Path) -> tuple[Path, Path]:
        if self._session.owns(directory):
            return directory, directory / _TREE
        if self._session.owns(directory.parent):
            return directory.parent, directory
        raise ValueError(f"{directory} is not in a scratch directory of this store")

    def _boot_of(self, wrapper: Path) -> str:
        with files.plain_errors("cannot read a snapshot's state"):
            state = files.read_record(wrapper / "state", SNAPSHOT_VERSION)
        boot = state.get("boot") if state is not None else None
        return boot if isinstance(boot, str) else ""
